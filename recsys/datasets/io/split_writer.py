"""Writes the rows of one split as standard parquet files, a bounded number of them in memory at a time."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys.features.ragged import Ragged, as_array

ROW_GROUP_ROWS = 32_768
ROW_GROUP_VALUES = 4 << 20  # longer lists make smaller row groups, so that a reader's memory stays bounded
FILE_ROWS = 131_072


Columns = dict[str, np.ndarray | Ragged | pa.Array]  # name -> [n] values or bags


def take_rows(columns: Columns, index: np.ndarray) -> Columns:
    """The rows ``index`` [n] int64 of every column, in that order; one may come several times."""
    return {name: c.take(index) if isinstance(c, Ragged) else c[index] for name, c in columns.items()}


@dataclass
class SplitCount:
    """Rows of one split, and those of them with label 1."""

    rows: int = 0
    positives: int = 0


def row_group_rows(max_length: int) -> int:
    """Rows of a row group whose longest list has ``max_length`` values."""
    return max(1, min(ROW_GROUP_ROWS, ROW_GROUP_VALUES // max(max_length, 1)))


class SplitWriter:
    """Appends rows to ``folder/part-00000.parquet`` and on, in full row groups; the last one may be short.

    Files hold ``file_rows`` rows (whole row groups; the last may hold fewer). Use as a context manager.
    """

    def __init__(self, folder: Path, group_rows: int = ROW_GROUP_ROWS, file_rows: int = FILE_ROWS) -> None:
        folder.mkdir(parents=True)
        self.count = SplitCount()
        self._folder = folder
        self._group_rows = group_rows
        self._groups_per_file = max(1, file_rows // group_rows)
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._groups = self._files = 0
        self._writer: pq.ParquetWriter | None = None

    def write(self, columns: Columns) -> None:
        """Append rows. ``columns`` has the same names and dtypes on each call; ``label`` is int8, 0 or 1."""
        table = pa.table({name: _arrow(column) for name, column in columns.items()})
        if not table.num_rows:
            return
        self.count.rows += table.num_rows
        if "label" in columns:
            self.count.positives += int(as_array(columns["label"]).sum(dtype=np.int64))
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        if self._waiting_rows >= self._group_rows:
            whole = pa.concat_tables(self._waiting)
            start = 0
            while whole.num_rows - start >= self._group_rows:
                self._write_group(whole.slice(start, self._group_rows))
                start += self._group_rows
            rest = whole.slice(start)
            self._waiting, self._waiting_rows = ([rest], rest.num_rows) if rest.num_rows else ([], 0)

    def _write_group(self, table: pa.Table) -> None:
        if self._writer is None or self._groups == self._groups_per_file:
            self._close_file()
            self._writer = pq.ParquetWriter(
                self._folder / f"part-{self._files:05d}.parquet",
                table.schema,
                compression="zstd",
                compression_level=1,
                write_page_checksum=True,
                write_statistics=False,
            )
            self._files += 1
            self._groups = 0
        self._writer.write_table(table, row_group_size=self._group_rows)
        self._groups += 1

    def _close_file(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __enter__(self) -> "SplitWriter":
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None:
            if self._waiting_rows:
                self._write_group(pa.concat_tables(self._waiting))
            self._close_file()
        elif self._writer is not None:
            with contextlib.suppress(Exception):  # the first error is the one to show; the folder is removed anyway
                self._writer.close()


def write_split(folder: Path, columns: Columns, group_rows: int) -> SplitCount:
    """Write all rows of a split, which fit in memory, to ``folder``."""
    with SplitWriter(folder, group_rows) as writer:
        writer.write(columns)
    return writer.count


def _arrow(column: np.ndarray | Ragged | pa.Array) -> pa.Array:
    if isinstance(column, Ragged):
        assert column.values.size < 1 << 31, "more values than a list column's 32-bit offsets reach; write fewer rows"
        return pa.ListArray.from_arrays(pa.array(column.offsets.astype(np.int32)), pa.array(column.values))
    return column if isinstance(column, pa.Array) else pa.array(column)
