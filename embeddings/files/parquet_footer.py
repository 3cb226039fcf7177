"""Footers of parquet files, read as data of strangers: checked before anybody relies on them, exact column names.

A column is asked for by its whole name: a dot in it is no path.
"""

import os
import stat
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embeddings.errors import InputError, first_line
from embeddings.files.parquet_pages import PageHeaderError, has_checksum

FOOTER_THREADS = 16
DAMAGE = (pa.ArrowException, OSError, PageHeaderError, UnicodeDecodeError)
MORE_MEMORY = "give the process more memory, or let fewer share it"

_MAGIC = {b"PK\x03\x04": "a zip file", b"\x1f\x8b": "a gzip file", b"\x89HDF": "an HDF5 file", b"ORC": "an ORC file",
          b"ARROW1": "an Arrow IPC file", b"PARE": "an encrypted parquet file"}  # fmt: skip


@dataclass(frozen=True)
class DataFile:
    """One parquet file.

    group_rows  [G] int64, of its row groups
    unreadable  of the footer's columns, by their places: why pyarrow reads none of it, nor may anybody ask about it
    """

    path: str
    name: str
    size_bytes: int
    footer: pq.FileMetaData
    columns: pa.Schema
    group_rows: np.ndarray
    unreadable: dict[int, str] = field(default_factory=dict, compare=False, repr=False)
    safe_rows: dict[tuple[int, int], int] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def leaves(self) -> dict[str, range]:
        """Column -> where its values are among the footer's columns: one place, but for structs and maps."""
        result, first = {}, 0
        for column in self.columns:
            result[column.name] = range(first, first + _leaf_count(column.type))
            first = result[column.name].stop
        return result

    def values(self, group: int, column: str) -> int:
        """Values of a column in a row group by the footer, which may lie; an empty list counts as one."""
        about = self.footer.row_group(group)
        self.refuse_unreadable(group, self.leaves[column])
        return max(sum(about.column(leaf).num_values for leaf in self.leaves[column]), 0)

    def refuse_unreadable(self, group: int, leaves: Iterable[int]) -> None:
        """Raise InputError where one of these columns cannot be read in any row group."""
        for leaf in leaves:
            if reason := self.unreadable.get(leaf):
                encrypted = "crypt" in reason.lower()
                name, next_step = self.footer.schema.column(leaf).path, "write or copy it again"
                if encrypted:
                    next_step = "write the column without encryption"
                raise InputError(
                    f"'{self.path}', row group {group} of {len(self.group_rows)}: column '{name}' "
                    f"{'is encrypted' if encrypted else 'cannot be read'} ({reason}); {next_step}"
                )

    def chunk_span(self, group: int, leaf: int) -> tuple[int, int]:
        """Where the pages of a column begin in the file, and where they end. Raises PageHeaderError beyond the file."""
        chunk = self.footer.row_group(group).column(leaf)
        start, dictionary = chunk.data_page_offset, chunk.dictionary_page_offset
        if dictionary and 0 < dictionary < start:
            start = dictionary
        stop = start + chunk.total_compressed_size
        if not 0 < start <= stop <= self.size_bytes:
            raise PageHeaderError("its footer names places beyond the file")
        return start, stop

    @cached_property
    def has_checksums(self) -> bool:
        """Whether its first page has a checksum; True where there is none, or none can be read."""
        for group in np.flatnonzero(self.group_rows).tolist():
            try:
                with open(self.path, "rb") as raw:
                    leaf = next(i for i in range(self.footer.num_columns) if i not in self.unreadable)
                    return has_checksum(partial(read_at, raw.fileno()), self.chunk_span(group, leaf)[0])
            except (*DAMAGE, IndexError, StopIteration):
                break  # whoever reads it says what is wrong
        return True


def read_footers(paths: Sequence[str]) -> list[DataFile]:
    """Footers of all ``paths``, in that order. Raises InputError naming a file that is no whole parquet file."""
    with ThreadPoolExecutor(min(FOOTER_THREADS, len(paths))) as pool:
        return list(pool.map(read_footer, paths))


def read_footer(path: str | os.PathLike) -> DataFile:
    """The footer of one file. Raises InputError where it is no whole parquet file."""
    path = os.fspath(path)
    try:
        about = os.stat(path)
        if stat.S_ISDIR(about.st_mode):
            raise InputError(f"'{path}' is a folder, and one parquet file is wanted; name a file, or files, in it")
        if not stat.S_ISREG(about.st_mode):
            raise InputError(f"'{path}' is no regular file; write parquet into a file on a disk")
        with open(path, "rb") as raw:
            first = raw.read(8)
    except OSError as error:
        raise InputError(f"'{path}' cannot be opened ({error.strerror}); fix the path or its permissions") from error
    try:
        footer, unreadable = _sound_footer(path)
        columns = footer.schema.to_arrow_schema()
        [column.name for column in columns]  # bytes that are no UTF-8 are found here, and not later
        rows = np.array([footer.row_group(g).num_rows for g in range(footer.num_row_groups)], dtype=np.int64)
        file = DataFile(path, os.path.basename(path), about.st_size, footer, columns, rows, unreadable)
        sound = (rows >= 0).all() and rows.sum() == footer.num_rows
        if not sound or sum(_leaf_count(column.type) for column in columns) != footer.num_columns:
            raise PageHeaderError("its footer contradicts itself")
        return file
    except MemoryError as error:
        raise InputError(f"'{path}': out of memory for its footer ({first_line(error)}); {MORE_MEMORY}") from error
    except (*DAMAGE, OverflowError) as error:
        kind = next((f"; it begins like {what}" for magic, what in _MAGIC.items() if first.startswith(magic)), "")
        raise InputError(
            f"'{path}' is not a readable parquet file ({first_line(error)}{kind}): it is truncated or corrupt; "
            f"write or copy it again"
        ) from error


def _sound_footer(path: str) -> tuple[pq.FileMetaData, dict[int, str]]:
    """The footer of a file, and those of its columns that pyarrow does not read, with the reason.

    Asked for by Python, a column with statistics that make no sense ends the process (pyarrow 25); asked for where a
    reader opens it, it is an error. The reader is asked for batches of no rows, and reads none.
    """
    unreadable: dict[int, str] = {}
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=4096) as opened:
        for group in range(opened.metadata.num_row_groups):
            try:
                _probe(opened, group, None)
            except MemoryError:
                raise
            except DAMAGE:
                for leaf in set(range(opened.metadata.num_columns)) - unreadable.keys():
                    try:
                        _probe(opened, group, [leaf])
                    except DAMAGE as error:
                        unreadable[leaf] = first_line(error)
        if opened.metadata.num_columns == len(unreadable):
            raise PageHeaderError(next(iter(unreadable.values()), "it has no columns"))
        return opened.metadata, unreadable


def _probe(opened: pq.ParquetFile, group: int, leaves: list[int] | None) -> None:
    next(opened.reader.iter_batches(0, row_groups=[group], column_indices=leaves, use_threads=False), None)


def unreadable_group(file: DataFile, group: int, error: Exception | str) -> InputError:
    """The error for a row group whose data cannot be decoded, or for which there is no memory."""
    reason = error if isinstance(error, str) else first_line(error)
    place = f"'{file.path}', row group {group} of {len(file.group_rows)}"
    if isinstance(error, MemoryError):
        return InputError(f"{place}: out of memory ({reason}); {MORE_MEMORY}")
    return InputError(
        f"{place}: data cannot be read ({reason}): the file is corrupt or changed since its footer was read; write or "
        f"copy it again"
    )


def read_at(descriptor: int, offset: int, size: int) -> bytes:
    """Bytes of an open file, at most ``size``."""
    return os.pread(descriptor, size, offset)


def _leaf_count(kind: pa.DataType) -> int:
    """Columns of a footer that a column of type ``kind`` takes."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return sum(_leaf_count(kind.field(i).type) for i in range(kind.num_fields)) if kind.num_fields else 1
