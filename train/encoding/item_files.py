"""Item files: parquet of (id, content) to encode, cut into parts of consecutive rows by the number of items alone."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from embeddings.errors import InputError, listed
from embeddings.files.parquet_batches import read_batches
from embeddings.files.parquet_folder import parquet_paths
from embeddings.files.parquet_footer import DataFile, read_footers, unreadable_group
from recsys.scl.content_columns import check_column, contents, read_ids
from train.data.parquet_files import fingerprint

PARTS = 64  # wanted; the more, the less is lost with a killed process
PART_ROWS = (256, 16_384)  # bounds
READ_ROWS = 256  # of a row group at once


@dataclass(frozen=True)
class ItemFiles:
    """All items, in the order of files and rows.

    files  sorted by name
    ids    [N]  int64, unique
    """

    files: Sequence[DataFile]
    id_column: str
    column: str
    ids: np.ndarray

    @property
    def identity(self) -> str:
        """Equal as long as the items are the same rows of the same columns."""
        return f"{fingerprint(list(self.files))} {self.id_column} {self.column}"

    @property
    def part_rows(self) -> int:
        """Rows of a part; the last one may be smaller. By the number of items alone."""
        low, high = PART_ROWS
        return min(max(-(-self.ids.size // PARTS), low), high)

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return -(-self.ids.size // self.part_rows)

    def rows(self, part: int) -> int:
        """How many rows a part has."""
        return min(self.part_rows, self.ids.size - part * self.part_rows)

    def contents(self, parts: range) -> Iterator[list[Any]]:
        """The contents of all rows of consecutive ``parts``, some at a time: bytes, str or None.

        Row groups outside are not read. Raises InputError for one that cannot be decoded.
        """
        start, stop = parts.start * self.part_rows, min(parts.stop * self.part_rows, self.ids.size)
        first = 0
        for file in self.files:
            for group, rows in enumerate(file.group_rows.tolist()):
                if first < stop and first + rows > start:
                    yield from self._group(file, group, max(start - first, 0), min(stop - first, rows))
                first += rows

    def _group(self, file: DataFile, group: int, start: int, stop: int) -> Iterator[list[Any]]:
        """Rows ``start`` to ``stop`` of a row group."""
        done = 0
        for _, batch in read_batches(file, [self.column], READ_ROWS, [group]):
            low, high = max(start - done, 0), min(stop - done, batch.num_rows)
            if low < high:
                yield contents(batch.column(0).slice(low, high - low))
            done += batch.num_rows
            if done >= stop:
                return
        raise unreadable_group(file, group, f"{stop - done} rows are missing")


def find_items(source: str, id_column: str, column: str, kind: str) -> ItemFiles:
    """Open a parquet file, or a folder of them, and read all ids.

    Args:
        kind: image or text, which the encoder reads.

    Raises InputError where a file or column is missing or of another type, where an id is null or repeats, and where
    there is no row.
    """
    if not os.path.exists(source):
        raise InputError(f"'{source}' does not exist; give a parquet file of items, or a folder of them")
    paths, passed_over = parquet_paths(source) if os.path.isdir(source) else ([source], [])
    if not paths:
        others = f", only {listed(passed_over)}" if passed_over else ""
        raise InputError(
            f"'{source}' holds no .parquet file{others}; give a parquet file of items, or a folder with them directly "
            "in it"
        )
    files = read_footers(paths)
    for file in files:
        check_column(file, id_column, "ids", fix="cast it first")
        needs = f", but the encoder reads {kind}s"
        check_column(file, column, kind, wanted=needs, fix="name another column or encoder")
    ids = np.concatenate([np.zeros(0, np.int64), *(_ids(file, id_column) for file in files)])
    if not ids.size:
        raise InputError(f"'{source}' has no rows; give items to encode")
    ordered = np.sort(ids)
    if (repeats := ordered[1:][ordered[1:] == ordered[:-1]]).size:
        raise InputError(
            f"'{source}': id {repeats[0]} repeats ({repeats.size} repeats in all); allowed: one row for each id; drop "
            "the repeats"
        )
    return ItemFiles(files, id_column, column, ids)


def _ids(file: DataFile, column: str) -> np.ndarray:
    ids, null = read_ids(file, column)
    if null.any():
        raise InputError(f"'{file.path}': {null.sum()} ids are null; allowed: one id for each row; drop those rows")
    return ids
