"""Shuffle buffer: one thread's rows, decoded chunk by chunk into windows, one window read ahead of the other."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from embeddings.files.parquet_batches import read_batches
from embeddings.files.parquet_footer import DataFile
from recsys.features.arrow_columns import arrow_values, nulls
from recsys.features.columns import Field
from recsys.features.raw_columns import build_row_block
from recsys.features.row_block import RowBlock
from recsys.schema import Schema
from train.data.filler_rows import FillerRows, SourceRows, record_batches
from train.data.shard_plan import Segment, ShardPlan


class RowDecoder:
    """Decodes the rows of a list of segments, in order, at most ``chunk_rows`` at a time.

    Args:
        filler_rows: takes the places of rows that cannot be read; None: they are an error.
    """

    def __init__(
        self,
        files: list[DataFile],
        fields: list[Field],
        schema: Schema,
        segments: list[Segment],
        chunk_rows: int,
        filler_rows: FillerRows | None = None,
    ) -> None:
        self._fields, self._schema = fields, schema
        self._columns = sorted({f.column for f in fields})
        self._batches = record_batches(files, self._columns, segments, chunk_rows, filler_rows)
        self._rest: SourceRows | None = None

    def take(self, limit: int) -> RowBlock:
        """The next rows of one row group, at least one and at most ``limit``: all filler rows, or none.

        Raises InputError for what cannot be decoded and for values that are not allowed.
        """
        rows = self._rest or next(self._batches)
        file, group = rows.file, rows.group
        self._rest = replace(rows, batch=rows.batch.slice(limit)) if rows.batch.num_rows > limit else None
        batch = rows.batch.slice(0, limit)
        place, count = f"'{file.path}', row group {group}", partial(_count_nulls, file, group)
        arrays = {name: arrow_values(name, batch.column(name), place, count) for name in self._columns}
        block = build_row_block(self._schema, self._fields, arrays, place)
        if rows.filler:
            block.filler = np.ones(block.rows, dtype=bool)
        return block


class ShuffleBuffer:
    """Collects the blocks that one shuffle window of ``rows`` rows is made of."""

    def __init__(self, decoder: RowDecoder, rows: int) -> None:
        self._decoder, self._goal, self._rows = decoder, rows, 0
        self._blocks: list[RowBlock] = []

    def fill(self, rows: int) -> None:
        """Read until at least ``rows`` rows, or all of the window, are there."""
        while self._rows < min(rows, self._goal):
            block = self._decoder.take(self._goal - self._rows)
            self._blocks.append(block)
            self._rows += block.rows

    def finish(self) -> RowBlock:
        """The whole window as one block."""
        self.fill(self._goal)
        return RowBlock.concatenate(self._blocks)


def shuffled_batches(
    plan: ShardPlan, decoder: RowDecoder, epoch: int, shard: int, first_batch: int
) -> Iterator[tuple[RowBlock, slice | np.ndarray]]:
    """For each batch of a shard from ``first_batch`` on: the window it lies in and the rows that it takes.

    While a window's batches are handed out, the next window is read at the same pace, so that no batch waits for
    a whole window. ``decoder`` must begin at the first row of the window of ``first_batch``.
    """
    size = plan.batch_size
    buffer = _buffer(plan, decoder, shard, first_batch // plan.window_batches)
    for number in range(first_batch // plan.window_batches, plan.num_windows):
        window = buffer.finish()
        ahead = number + 1 < plan.num_windows
        if ahead:
            buffer = _buffer(plan, decoder, shard, number + 1)
        order = plan.permutation(epoch, shard, number, window.rows) if plan.shuffle else None
        begin = number * plan.window_batches
        end = min(begin + plan.window_batches, plan.batches_per_shard)
        for batch in range(max(begin, first_batch), end):
            low = (batch - begin) * size
            high = window.rows if batch == plan.batches_per_shard - 1 else low + size
            yield window, slice(low, high) if order is None else order[low:high]
            if ahead:
                buffer.fill(high)
        del window


def _buffer(plan: ShardPlan, decoder: RowDecoder, shard: int, number: int) -> ShuffleBuffer:
    start, stop = plan.window(shard, number)
    return ShuffleBuffer(decoder, stop - start)


def _count_nulls(file: DataFile, group: int, column: str) -> int:
    return sum(nulls(batch.column(0)) for _, batch in read_batches(file, [column], 8192, [group]))
