"""The streaming reader: parquet rows of one split as Batches, the same on every run, from any position."""

import logging
from collections.abc import Generator
from functools import partial
from typing import Any

import numpy as np

from embeddings.errors import InputError
from embeddings.files.parquet_batches import refuse_many_values
from embeddings.files.parquet_footer import read_footers
from embeddings.frozen.vector_store import VectorStore
from recsys.batch import Batch
from recsys.features.columns import needed_fields
from recsys.features.read_counters import ReadCounters
from recsys.schema import Schema
from train.data.batch_streams import BatchStreams
from train.data.column_check import announce_unread, check_columns
from train.data.parquet_files import announce_files, chunk_rows, find_files, fingerprint
from train.data.prefetch import PrefetchThread
from train.data.read_position import ReadPosition, cannot_divide, cannot_resume
from train.data.resharding import LogicalShards
from train.data.shard_plan import build_shard_plan

log = logging.getLogger(__name__)

LOOKUPS_BEFORE_VERDICT = 100_000


class RowReader:
    """Reads one split of a data folder as Batches, this rank's share of it.

    Row groups are shuffled, then rows inside windows of ``shuffle_rows`` rows. All ranks have the same number of
    batches of the same sizes. An epoch has every row, and fewer than W * workers of them twice. Batches depend on
    files, seed, epoch, world size, workers, shuffle_rows and batch size alone.

    Only footers are read at the start. Each epoch starts ``workers`` threads, which stream row groups in bounded
    memory: about two windows of rows a rank, and ``prefetch`` batches a worker. Threads that share a row group both
    decode its beginning, so files do best with many row groups, of 10,000 to 100,000 rows each.

    Args:
        folder, split: rows are in ``folder/split/*.parquet``.
        stores: modality -> opened store; modalities without one are left out of the batches.
        batch_size: rows a batch; a shard's last batch may have fewer.
        shuffle_rows: rows shuffled together on a rank; 0 keeps the files' order.
        with_labels: False reads rows without a label column; labels are NaN then.
        skip_corrupt: filler rows take the places of those of row groups that cannot be decoded.

    Raises InputError for files, columns or values that cannot be used; for values, while reading.
    """

    def __init__(
        self,
        folder: str,
        split: str,
        schema: Schema,
        stores: dict[str, VectorStore],
        *,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        seed: int = 0,
        shuffle_rows: int = 0,
        workers: int = 1,
        prefetch: int = 8,
        with_labels: bool = True,
        skip_corrupt: bool = False,
    ) -> None:
        assert 0 <= rank < world_size and batch_size > 0 and workers > 0 and prefetch > 0 and shuffle_rows >= 0
        assert stores.keys() <= schema.modalities.keys(), "a store without a modality in the schema"
        self.split, self.rank, self._prefetch = split, rank, prefetch
        self._schema, self.stores = schema, stores
        self._files = read_footers(find_files(folder, split))
        fields = needed_fields(schema, with_labels)
        self.unread_columns = check_columns(self._files, fields, ignored={schema.label})
        self._refuse_long_lists([f.column for f in fields if f.kind == "list" and f.max_length is None])
        chunk = chunk_rows(self._files, {f.column for f in fields})
        self._streams = BatchStreams(
            self._files, schema, stores, chunk_rows=chunk, with_labels=with_labels, skip_corrupt=skip_corrupt
        )
        self._build_plan = partial(
            build_shard_plan,
            [f.group_rows for f in self._files],
            split=split,
            shuffle_rows=shuffle_rows,
            chunk_rows=chunk,
            seed=seed,
        )
        plan = self._build_plan(batch_size=batch_size, world_size=world_size, workers=workers)
        # Those of these ranks; where a position of other ranks is loaded, _shards are theirs.
        self._own = self._shards = LogicalShards(plan, rank, world_size, batch_size)
        if rank == 0:
            announce_files(self._files)
            announce_unread(split, self.unread_columns)
            if plan.workers < workers:
                log.warning(
                    "split '%s': %d reading threads a rank instead of %d, as there are only %d rows",
                    split, plan.workers, workers, plan.num_rows,
                )  # fmt: skip
        self._state = {
            "split": split,
            "seed": seed,
            "shuffle_rows": shuffle_rows,
            "files": fingerprint(self._files),
        }
        for store in stores.values():
            store.rows(np.zeros(0, dtype=np.int64))  # builds its index once, before threads ask for it
        self.epoch_index, self.batch_index = 0, 0
        self._resumed: tuple[int, int, int] | None = None  # epoch, batch, rows of each logical shard
        self.counters = ReadCounters()

    @property
    def num_rows(self) -> int:
        """Rows of the whole split, over all ranks."""
        return self._shards.plan.num_rows

    @property
    def num_batches(self) -> int:
        """Batches of an epoch on this rank, and on every other."""
        return len(self._shards.ends)

    def epoch(self, epoch: int, start: int = 0) -> Generator[Batch, None, None]:
        """The batches of ``epoch`` from batch ``start`` on. Skipped rows cost next to nothing.

        Closing the iterator, or letting go of it, ends its threads. Raises InputError for bad values, and where the
        share of lookups without a vector is above a modality's max_missing.
        """
        if self._resharded and self._resumed and epoch != self._resumed[0] and not self._keeps_shards():
            self._shards = self._own
        assert 0 <= start <= self.num_batches, f"start {start} is not within 0 to {self.num_batches}"
        self.epoch_index, self.batch_index, self.counters = epoch, start, ReadCounters()
        return self._read(epoch, start, self.counters)

    @property
    def _resharded(self) -> bool:
        """Whether rows come in the order of other ranks, those that the run began with, or from inside a batch."""
        return self._shards is not self._own

    def _keeps_shards(self) -> bool:
        """Whether later epochs keep the first ranks' logical shards too, as their steps have the same rows."""
        return self._shards.same_steps and self._shards.plan.partition != self._own.plan.partition

    def _read(self, epoch: int, start: int, counters: ReadCounters) -> Generator[Batch, None, None]:
        plan = self._shards.plan
        if self._resharded:
            streams = [self._streams.of_logical_shards(self._shards, epoch, self._rows_before(epoch, start))]
        else:
            streams = [self._streams.of_worker(plan, epoch, self.rank, w, start) for w in range(plan.workers)]
        threads = [
            PrefetchThread(stream, self._prefetch, f"reader-{self.split}-{number}")
            for number, stream in enumerate(streams)
        ]
        try:
            for batch in range(start, self.num_batches):
                result, counts = threads[batch % len(threads)].get()
                counters.add(counts)
                self.batch_index = batch + 1
                self._check_missing(counters, 0 if batch + 1 == self.num_batches else LOOKUPS_BEFORE_VERDICT)
                yield result
        finally:
            for thread in threads:
                thread.close()

    def position(self, batch: int | None = None) -> ReadPosition:
        """Where batch number ``batch`` of the current epoch comes from; None: the last one that was handed out."""
        batch = max(self.batch_index - 1, 0) if batch is None else batch
        plan, rank, batch_there = self._shards.plan, self.rank, batch
        if self._resharded:
            rank, batch_there = self._shards.first_batch_at(self._rows_before(self.epoch_index, batch))
        turn, worker = divmod(batch_there, plan.workers)
        shard = rank * plan.workers + worker
        if plan.shuffle:
            rows = plan.window(shard, turn // plan.window_batches)
        else:
            rows = plan.rows_of_batches(shard, turn, turn + 1)
        segments = plan.segments(plan.order(self.epoch_index), *rows)
        first = segments[0]
        path = self._files[first.file].path
        return ReadPosition(self.split, self.epoch_index, batch, path, first.group, len(segments))

    def state_dict(self, epoch: int | None = None, batch: int | None = None) -> dict[str, Any]:
        """The position, the same on every rank: plain values.

        Args:
            epoch, batch: how far training has come; None: what was handed out. A pipeline that reads ahead has
                trained fewer batches than it was handed.
        """
        epoch = self.epoch_index if epoch is None else epoch
        rows = self._rows_before(epoch, self.batch_index if batch is None else batch)
        return {**self._state, "epoch": epoch, "rows": rows, "logical_shards": self._shards.plan.partition}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set ``epoch_index`` and ``batch_index``: go on with ``epoch(reader.epoch_index, start=reader.batch_index)``.

        On other ranks or with other batches, no row is lost or taken twice; where a step has as many rows over all
        ranks as before, it has the same rows, to the end of the run.

        Raises InputError where files or settings differ from those that the position was saved with, and where in the
        middle of an epoch a step's rows are no multiple of the first run's ranks.
        """
        for key, ours in self._state.items():
            if state.get(key) != ours:
                raise cannot_resume(key, state.get(key), ours, self.split)
        own, shards, rows = self._own, self._own, state["rows"]
        # older checkpoints say lanes
        partition = state["logical_shards"] if "logical_shards" in state else state["lanes"]
        plan = self._build_plan(**partition)
        if partition != own.plan.partition or rows != own.rows_before(own.batch_at(rows)):
            shards = LogicalShards(plan, self.rank, own.world_size, own.batch_size)
        if rows == 0 and not shards.same_steps:
            shards = own  # nothing of this epoch is trained
        elif rows < shards.first_ends[-1] and not shards.divides:
            raise cannot_divide(shards, self.split)
        elif shards is not own and self.rank == 0:
            log.warning(
                "split '%s': going on in the order of %d ranks with %d rows each, with one reading thread a rank",
                self.split, plan.world_size, plan.batch_size,
            )  # fmt: skip
        self._shards = shards
        self.epoch_index, self.batch_index = state["epoch"], shards.batch_at(rows)
        self._resumed = (self.epoch_index, self.batch_index, rows)

    def _refuse_long_lists(self, columns: list[str]) -> None:
        """Refuse more values in lists that are not cut to a max_length than files of their size can mean to have."""
        groups = ((f, g) for f in self._files if columns and f.group_rows.any() for g in range(len(f.group_rows)))
        values = sum(file.values(group, column) for file, group in groups for column in columns)
        what = f"values in lists that are kept whole ({', '.join(columns)})"
        refuse_many_values(self._files, values, what, "set max_length of these features in schema.yaml")

    def _rows_before(self, epoch: int, batch: int) -> int:
        """Rows that each logical shard has given before ``batch``; a resumed one may begin inside a batch of ours."""
        return (
            self._resumed[2]
            if self._resumed and self._resumed[:2] == (epoch, batch)
            else self._shards.rows_before(batch)
        )

    def _check_missing(self, counters: ReadCounters, least_lookups: int) -> None:
        for name in self.stores:
            share, limit = counters.missing_share(name), self._schema.modalities[name].max_missing
            if share > limit and counters.lookups[name] >= least_lookups:
                raise InputError(
                    f"split '{self.split}', modality '{name}': {share:.1%} of {counters.lookups[name]} item "
                    f"lookups have no vector in '{self.stores[name].path}', at most {limit:.1%} are allowed; add the "
                    f"missing items to the store, or raise modalities.{name}.max_missing in schema.yaml"
                )
