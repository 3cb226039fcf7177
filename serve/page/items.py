"""Facts of items for people, read once from parquet: titles, pictures, and whatever else a file says of an item."""

import datetime
import decimal
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from embeddings.errors import InputError, shown
from embeddings.files.parquet_batches import MOST_BYTES, read_batches
from embeddings.files.parquet_folder import parquet_paths
from embeddings.files.parquet_footer import DataFile, read_footers

TITLE, PICTURE = "title", "picture"
MOST_TEXT = 500  # characters of one fact
MOST_LISTED = 20  # values of a list
_BATCH_ROWS = 8192
_TYPE_BYTES = 16  # of a picture, which tell its type


def picture_type(data: bytes) -> str | None:
    """The media type of a picture's first bytes: PNG, JPEG or WebP; None for anything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


class Items:
    """Rows of parquet files by item id, all in memory.

    Several files, or folders of files, with the same columns are one table; those with others add columns to an item.

    Args:
        paths: parquet files, or folders of them.
        id_column: column with the item ids, integers.

    Raises InputError where a file cannot be read, has no such column or the same id twice, and where all take more than
    MOST_BYTES.
    """

    def __init__(self, paths: Sequence[str], id_column: str) -> None:
        self._tables = [_Table(path, id_column) for path in paths]
        if (size := sum(table.rows.nbytes for table in self._tables)) > MOST_BYTES:
            raise InputError(
                f"--items: {size:,} bytes in memory; allowed: {MOST_BYTES:,}; give smaller pictures, or fewer items"
            )

    def facts(self, item: int) -> dict[str, Any]:
        """Column -> value, as JSON has it, of what is known of ``item`` besides its picture; maybe nothing."""
        found: dict[str, Any] = {}
        for table in self._tables:
            if (row := table.row(item)) is not None:
                for name in table.rows.column_names:
                    if name != PICTURE and (value := table.rows[name][row].as_py()) is not None:
                        found.setdefault(name, _plain(value))
        return found

    def picture(self, item: int) -> bytes:
        """The bytes of an item's picture, of whatever kind; none where it has no picture."""
        return next((picture[0].as_py() for picture in self._pictures(item)), b"")

    def picture_type(self, item: int) -> str | None:
        """As ``picture_type`` of an item's picture, of which no more than the first bytes is copied."""
        starts = (pc.binary_slice(picture, 0, _TYPE_BYTES)[0].as_py() for picture in self._pictures(item))
        return picture_type(next(starts, b""))

    def _pictures(self, item: int) -> Iterator[pa.ChunkedArray]:
        """Of each table that has a picture of ``item``, that alone."""
        for table in self._tables:
            if PICTURE in table.rows.column_names and (row := table.row(item)) is not None:
                picture = table.rows[PICTURE].slice(row, 1)
                if not picture.null_count:
                    yield picture

    def titled(self, words: str, most: int) -> list[int]:
        """Items whose titles have ``words`` in them, in any case; those that begin with it first."""
        found: list[int] = []
        for table in self._tables:
            if TITLE in table.rows.column_names:
                titles = table.rows[TITLE]
                for matches in (pc.starts_with, pc.match_substring):
                    found += table.ids[pc.fill_null(matches(titles, words, ignore_case=True), False)].tolist()
        return list(dict.fromkeys(found))[:most]

    @property
    def sortable(self) -> list[str]:
        """Columns of numbers and of times, by which items have an order: clicks, say, or a day of launch."""
        names = [
            field.name
            for table in self._tables
            for field in table.rows.schema
            if pt.is_integer(field.type) or pt.is_floating(field.type) or pt.is_temporal(field.type)
        ]
        return list(dict.fromkeys(names))

    def largest(self, column: str, most: int) -> list[int]:
        """Items with the largest values in a ``sortable`` column, the largest first: most popular, or newest."""
        table = next(table for table in self._tables if column in table.rows.column_names)
        order = pc.sort_indices(table.rows, [(column, "descending")])  # nulls at the end
        places = order[: min(most, len(order) - table.rows[column].null_count)].to_numpy()
        return table.ids[places].tolist()

    def __len__(self) -> int:
        return max((len(table.ids) for table in self._tables), default=0)


class _Table:
    """One file's rows, or one folder's, sorted by id: ``ids`` [R] int64 and ``rows``, the other columns."""

    def __init__(self, path: str, id_column: str) -> None:
        files = read_footers(_paths(path))
        names = _columns(files, id_column)
        batches, size = [], 0
        for file in files:
            for _, batch in read_batches(file, names, _BATCH_ROWS):
                batches.append(batch.replace_schema_metadata(None))
                size += batch.nbytes
                if size > MOST_BYTES:
                    raise InputError(
                        f"'{path}' takes more than {MOST_BYTES:,} bytes; give smaller pictures, or fewer items"
                    )
        schema = pa.schema([files[0].columns.field(name).remove_metadata() for name in names])
        table = pa.Table.from_batches(batches, schema)
        ids = table[id_column]
        if ids.null_count:
            raise InputError(f"'{path}': column '{id_column}' has {ids.null_count} nulls; leave those rows out")
        unsorted = ids.to_numpy().astype(np.int64)
        order = np.argsort(unsorted, kind="stable")
        self.ids = unsorted[order]
        if (twice := np.flatnonzero(self.ids[1:] == self.ids[:-1])).size:
            raise InputError(f"'{path}': item {self.ids[twice[0]]} is there twice; keep one row an item")
        self.rows = table.drop_columns([id_column]).take(pa.array(order)).combine_chunks()

    def row(self, item: int) -> int | None:
        place = int(np.searchsorted(self.ids, item))
        return place if place < self.ids.size and self.ids[place] == item else None


def _paths(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    paths, _ = parquet_paths(path)
    if not paths:
        raise InputError(f"--items: folder '{path}' has no *.parquet; name a file, or a folder of them")
    return paths


def _columns(files: Sequence[DataFile], id_column: str) -> list[str]:
    """The names that all files have, the id's first; columns of types that have no plain words are left out."""
    first = files[0]
    for file in files:
        if id_column not in file.columns.names:
            raise InputError(
                f"'{file.path}' has no column '{id_column}', which names the items in the model's schema; it has "
                f"{shown(sorted(file.columns.names))}"
            )
        if not pt.is_integer(file.columns.field(id_column).type):
            raise InputError(f"'{file.path}': column '{id_column}' is no integer column, as ids of items are")
        if file.columns != first.columns:
            raise InputError(f"'{file.path}' has other columns than '{first.path}'; give each kind by its own --items")
        for name, right, what in ((TITLE, (pt.is_string, pt.is_large_string), "text"),
                                  (PICTURE, (pt.is_binary, pt.is_large_binary), "bytes of pictures")):  # fmt: skip
            if name in file.columns.names and not any(
                is_right(kind := file.columns.field(name).type) for is_right in right
            ):
                raise InputError(f"'{file.path}': column '{name}' is {kind}; wanted {what}, or call it otherwise")
    return [id_column, *(n for n in first.columns.names if n != id_column and not pt.is_nested(_inner(first, n)))]


def _inner(file: DataFile, name: str) -> pa.DataType:
    """The type of a column, of a list that of its values."""
    kind = file.columns.field(name).type
    return kind.value_type if pt.is_list(kind) or pt.is_large_list(kind) else kind


def _plain(value: Any) -> Any:
    """A value as JSON has it; what is long is cut."""
    if isinstance(value, list):
        return [_plain(part) for part in value[:MOST_LISTED]]
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, (datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, str)):
        return str(value)[:MOST_TEXT]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53:
        return str(value)  # JavaScript would round it
    return value
