"""Batch streams: the decoded, shuffled and assembled batches that one reading thread hands on."""

import math
from collections.abc import Iterator
from functools import partial

import numpy as np

from embeddings.files.parquet_footer import DataFile
from embeddings.frozen.vector_store import VectorStore
from recsys.batch import Batch
from recsys.features.batch_assembly import BatchAssembler
from recsys.features.columns import needed_fields
from recsys.features.read_counters import ReadCounters
from recsys.features.row_block import RowBlock
from recsys.schema import Schema
from train.data.filler_rows import FillerRows
from train.data.resharding import LogicalShards, Selection
from train.data.shard_plan import ShardPlan
from train.data.shuffle_buffer import RowDecoder, shuffled_batches


class BatchStreams:
    """Streams of batches of one split's ``files``; see ``reader.RowReader`` for the settings."""

    def __init__(
        self,
        files: list[DataFile],
        schema: Schema,
        stores: dict[str, VectorStore],
        *,
        chunk_rows: int,
        with_labels: bool,
        skip_corrupt: bool,
    ) -> None:
        self._files, self._schema, self._chunk_rows = files, schema, chunk_rows
        self._fields = needed_fields(schema, with_labels)
        self._assemble = BatchAssembler(schema, stores, with_labels)
        self._filler_rows = FillerRows() if skip_corrupt else None

    def of_worker(
        self, plan: ShardPlan, epoch: int, rank: int, worker: int, start: int
    ) -> Iterator[tuple[Batch, ReadCounters]]:
        """The batches of thread ``worker`` of a rank, which are the rank's batches ``start`` and on in its turns."""
        shard = rank * plan.workers + worker
        first = max(0, math.ceil((start - worker) / plan.workers))
        repeated = int(plan.repeats(shard) and not plan.shuffle and first == 0)
        for block, rows in self._selections(plan, epoch, shard, first):
            yield self._assembled(block, rows, repeated)
            repeated = 0

    def of_logical_shards(self, shards: LogicalShards, epoch: int, rows: int) -> Iterator[tuple[Batch, ReadCounters]]:
        """The batches of a rank after the first ``rows`` rows of each logical shard, for one thread."""
        for block, selected in shards.batches(rows, partial(self._first_batches, shards.plan, epoch)):
            yield self._assembled(block, selected, 0)

    def _first_batches(self, plan: ShardPlan, epoch: int, rank: int, first: int) -> Iterator[Selection]:
        """The batches of logical shard ``rank``, a rank of the run's first ones, from number ``first`` on."""
        workers = plan.workers
        streams = [
            self._selections(plan, epoch, rank * workers + worker, max(0, math.ceil((first - worker) / workers)))
            for worker in range(workers)
        ]
        for batch in range(first, plan.num_batches):
            yield next(streams[batch % workers])

    def _selections(self, plan: ShardPlan, epoch: int, shard: int, first: int) -> Iterator[Selection]:
        if first >= plan.batches_per_shard:
            return
        begin, _ = plan.window(shard, first // plan.window_batches)
        segments = plan.segments(plan.order(epoch), begin, plan.shard(shard)[1])
        decoder = RowDecoder(self._files, self._fields, self._schema, segments, self._chunk_rows, self._filler_rows)
        yield from shuffled_batches(plan, decoder, epoch, shard, first)

    def _assembled(self, block: RowBlock, rows: slice | np.ndarray, repeated: int) -> tuple[Batch, ReadCounters]:
        """The batch of ``rows``, the first ``repeated`` of which another batch has too; filler rows follow them."""
        corrupt = 0
        if block.filler is not None and block.filler[rows].any():
            rows = np.arange(block.rows)[rows]
            left_out = block.filler[rows]
            corrupt = int(left_out.sum())
            left_out[:repeated] = True
            rows, repeated = rows[np.argsort(~left_out, kind="stable")], int(left_out.sum())
        batch, counters = self._assemble(block, rows)
        batch.repeated, counters.corrupt = repeated, corrupt
        return batch, counters
