"""One worker's rows: row groups decoded piece by piece into windows, one window read ahead of the other."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from recsys.features.columns import Field, feature_field
from recsys.features.decode import Column, Ragged, check_identity, decode, nulls
from recsys.features.row_block import RowBlock
from recsys.schema import Schema
from train.data.parquet_files import DataFile, open_file
from train.data.row_groups import Rows, StandIns, record_batches
from train.data.shard_plan import Plan, Segment

Piece = dict[Field, Column]


class RowSource:
    """Decoded rows of a list of segments, in order, at most ``chunk_rows`` at a time.

    Args:
        stand_ins: gives rows in place of those that cannot be read; None: they are an error.
    """

    def __init__(
        self,
        files: list[DataFile],
        fields: list[Field],
        schema: Schema,
        segments: list[Segment],
        chunk_rows: int,
        stand_ins: StandIns | None = None,
    ) -> None:
        self._fields, self._schema = fields, schema
        self._batches = record_batches(files, sorted({f.column for f in fields}), segments, chunk_rows, stand_ins)
        self._rest: Rows | None = None

    def take(self, limit: int) -> tuple[Piece, int, bool]:
        """The next rows, at least one and at most ``limit``, how many, and whether they stand in for others."""
        batch, file, group, filled = self._rest or next(self._batches)
        self._rest = (batch.slice(limit), file, group, filled) if batch.num_rows > limit else None
        batch = batch.slice(0, limit)
        place = f"'{file.path}', row group {group}"
        piece = {}
        for field in self._fields:
            piece[field] = decode(field, batch.column(field.column), place, partial(_count_nulls, file, group))
        for feature in self._schema.features:
            if feature.table and (table := self._schema.tables[feature.table]).ids == "identity":
                column = piece[feature_field(feature)]
                check_identity(feature.name, feature.table, table.num_embeddings, column, place)
        return piece, batch.num_rows, filled


class Filler:
    """Collects the pieces of one window."""

    def __init__(self, source: RowSource, rows: int) -> None:
        self._source, self._goal, self._rows = source, rows, 0
        self._pieces: list[Piece] = []
        self._filled: list[tuple[int, int]] = []

    def fill(self, rows: int) -> None:
        """Read until at least ``rows`` rows, or all of the window, are there."""
        while self._rows < min(rows, self._goal):
            piece, count, filled = self._source.take(self._goal - self._rows)
            self._pieces.append(piece)
            if filled:
                self._filled.append((self._rows, self._rows + count))
            self._rows += count

    def finish(self) -> RowBlock:
        """The whole window. The pieces are let go column by column, so that memory holds little twice."""
        self.fill(self._goal)
        columns, starts = {}, {}
        for field in list(self._pieces[0]):
            parts = [piece.pop(field) for piece in self._pieces]
            if field.kind == "list":
                joined = Ragged(*(np.concatenate([getattr(p, k) for p in parts]) for k in ("values", "lengths", "cut")))
                starts[field] = np.cumsum(joined.lengths) - joined.lengths
            else:
                joined = np.concatenate(parts)
            columns[field] = joined
        filled = np.zeros(self._rows, dtype=bool) if self._filled else None
        for begin, end in self._filled:
            filled[begin:end] = True
        return RowBlock(self._rows, columns, starts, filled)


def window_rows(plan: Plan, shard: int, window: int) -> tuple[int, int]:
    """First row and end of a window, in the epoch's order of rows."""
    first = window * plan.window_batches
    return plan.rows_of_batches(shard, first, min(first + plan.window_batches, plan.batches_per_shard))


def selections(
    plan: Plan, source: RowSource, epoch: int, shard: int, first_batch: int
) -> Iterator[tuple[RowBlock, slice | np.ndarray]]:
    """For each batch of a shard from ``first_batch`` on: the window it lies in and the rows that it takes.

    While a window's batches are handed out, the next window is read at the same pace, so that no batch waits for
    a whole window. ``source`` must begin at the first row of the window of ``first_batch``.
    """
    size = plan.batch_size
    filler = _filler(plan, source, shard, first_batch // plan.window_batches)
    for window in range(first_batch // plan.window_batches, plan.num_windows):
        held = filler.finish()
        ahead = window + 1 < plan.num_windows
        if ahead:
            filler = _filler(plan, source, shard, window + 1)
        order = plan.permutation(epoch, shard, window, held.rows) if plan.shuffle else None
        begin = window * plan.window_batches
        end = min(begin + plan.window_batches, plan.batches_per_shard)
        for batch in range(max(begin, first_batch), end):
            low = (batch - begin) * size
            high = held.rows if batch == plan.batches_per_shard - 1 else low + size
            yield held, slice(low, high) if order is None else order[low:high]
            if ahead:
                filler.fill(high)
        del held


def _filler(plan: Plan, source: RowSource, shard: int, window: int) -> Filler:
    start, stop = window_rows(plan, shard, window)
    return Filler(source, stop - start)


def _count_nulls(file: DataFile, group: int, column: str) -> int:
    batches = open_file(file).iter_batches(8192, row_groups=[group], columns=[column], use_threads=False)
    return sum(nulls(batch.column(0)) for batch in batches)
