"""Streams the parquet tables of a raw data set as numpy columns, a bounded number of rows at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from embeddings.errors import InputError, nearest, shown
from embeddings.files.parquet_batches import read_batches
from embeddings.files.parquet_folder import parquet_paths
from embeddings.files.parquet_footer import read_footer, read_footers
from recsys.datasets.io.split_writer import Columns
from recsys.features.ragged import Ragged, as_ragged


@dataclass(frozen=True)
class TableChunk:
    """Consecutive rows of a table, from ``first_row`` of ``file`` on.

    columns  name -> [n] int64, or Ragged of n bags
    """

    file: Path
    first_row: int
    columns: Columns

    def one_hot(self, name: str) -> np.ndarray:
        """The label in the lists of column ``name``, [0, 1] a click and [1, 0] none: [n] int8. Raises InputError."""
        column = as_ragged(self.columns[name])
        wrong, pairs = column.lengths != 2, np.zeros((0, 2), np.int64)
        if not wrong.any():
            pairs = column.values.reshape(-1, 2)
            wrong = (pairs.min(axis=1) != 0) | (pairs.max(axis=1) != 1)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            got = column.take(np.array([row])).values.tolist()
            raise InputError(f"{self._row(row)}: {name} is {got}; allowed: [1, 0] or [0, 1]; get the file again")
        return pairs[:, 1].astype(np.int8)

    def check_aligned(self, first: str, second: str) -> None:
        """Raise InputError unless the lists of both columns have the same lengths, row by row."""
        lengths = []
        for name in (first, second):
            lengths.append(as_ragged(self.columns[name]).lengths)
        if (wrong := np.flatnonzero(lengths[0] != lengths[1])).size:
            one, other = lengths[0][wrong[0]], lengths[1][wrong[0]]
            raise InputError(
                f"{self._row(int(wrong[0]))}: {first} has {one} values, {second} {other}; allowed: one for each of the "
                "other's; get the file again"
            )

    def _row(self, row: int) -> str:
        return f"'{self.file}' row {self.first_row + row} (the first is 0)"


def parquet_files(folder: Path) -> list[Path]:
    """``folder/*.parquet`` sorted by name; none where there is no such folder."""
    return list(map(Path, parquet_paths(str(folder))[0])) if folder.is_dir() else []


def num_rows(files: Sequence[Path]) -> int:
    """Rows of all ``files`` by their footers. Raises InputError naming a file that is no whole parquet file."""
    return sum(int(file.group_rows.sum()) for file in read_footers(list(map(str, files))))


def stream(file: Path, ids: Sequence[str], lists: Sequence[str], rows: int) -> Iterator[TableChunk]:
    """The named columns of ``file``, at most ``rows`` rows at a time. A null id is 0, a null list is empty.

    Raises InputError naming the file for a column that is missing or of another type, no rows, or data
    that cannot be read.
    """
    table = read_footer(file)
    _check(file, table.columns, ids, lists)
    if not table.group_rows.any():
        raise InputError(f"'{file}' has no rows; get the file again")
    done = 0
    for _, batch in read_batches(table, [*ids, *lists], rows):
        columns: Columns = {name: _ids(batch.column(name)) for name in ids}
        columns.update({name: _lists(batch.column(name)) for name in lists})
        yield TableChunk(file, done, columns)
        done += batch.num_rows


def _check(file: Path, schema: pa.Schema, ids: Sequence[str], lists: Sequence[str]) -> None:
    for name in (*ids, *lists):
        if schema.names.count(name) != 1:
            hint = nearest(name, schema.names)
            raise InputError(
                f"'{file}' has no column '{name}'{hint}; columns: {shown(schema.names)}; get the file again"
            )
        kind = schema.field(name).type
        listed = pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind)
        inner = kind.value_type if listed else kind
        if listed != (name in lists) or not pt.is_integer(inner) or inner == pa.uint64():
            wanted = "a list of signed integers" if name in lists else "signed integers"
            raise InputError(f"'{file}', column '{name}' is {kind}; allowed: {wanted}; get the file again")


def _ids(array: pa.Array) -> np.ndarray:
    return array.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)


def _lists(array: pa.Array) -> Ragged:
    lengths = pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False)
    return Ragged.from_lengths(_ids(array.flatten()), lengths)
