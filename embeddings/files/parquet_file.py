"""Parquet files, read as data of strangers: footers checked, exact column names, bounded memory, page checksums.

Whoever reads parquet reads it through here. A column is asked for by its whole name: a dot in it is no path. What is
decoded at once is bounded before it is decoded, by the headers of the pages, as kilobytes of parquet may hold 10^9
values and a footer may lie about them. docs/data.md states the limits.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from embeddings.errors import InputError, first_line
from embeddings.files.parquet_pages import INDICES, ChunkPages, PageHeaderError, has_checksum, read_pages

FOOTER_THREADS = 16
BATCH_VALUES = 1 << 21  # of lists, decoded at once on average
MOST_VALUES = 1 << 25  # of lists in a row group, which one row may hold; of ids that are kept in memory
MOST_VALUES_A_BYTE = 1024  # beyond that, for each byte that they take in the file
BATCH_BYTES = 64 << 20  # of strings, decoded at once
DICTIONARY_BYTES = 16 << 20  # of strings, looked through for the longest
MOST_BYTES = 256 << 20  # of a page, or of a file's strings
MOST_BYTES_A_BYTE = 1000  # beyond that, for each byte that they take in the file

_DAMAGE = (pa.ArrowException, OSError, PageHeaderError, UnicodeDecodeError)
_FRONT_CODING = 7  # DELTA_BYTE_ARRAY: what a value shares with the one before is not repeated
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

    @cached_property
    def has_checksums(self) -> bool:
        """Whether its first page has a checksum; True where there is none, or none can be read."""
        for group in np.flatnonzero(self.group_rows).tolist():
            try:
                with open(self.path, "rb") as raw:
                    leaf = next(i for i in range(self.footer.num_columns) if i not in self.unreadable)
                    return has_checksum(partial(_pread, raw.fileno()), _chunk(self, group, leaf)[0])
            except (*_DAMAGE, IndexError, StopIteration):
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
    except (*_DAMAGE, OverflowError) as error:
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
            except _DAMAGE:
                for leaf in set(range(opened.metadata.num_columns)) - unreadable.keys():
                    try:
                        _probe(opened, group, [leaf])
                    except _DAMAGE as error:
                        unreadable[leaf] = first_line(error)
        if opened.metadata.num_columns == len(unreadable):
            raise PageHeaderError(next(iter(unreadable.values()), "it has no columns"))
        return opened.metadata, unreadable


def _probe(opened: pq.ParquetFile, group: int, leaves: list[int] | None) -> None:
    next(opened.reader.iter_batches(0, row_groups=[group], column_indices=leaves, use_threads=False), None)


def read_batches(
    file: DataFile, columns: Sequence[str], rows: int, groups: Iterable[int] | None = None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Row group and next rows of ``file``, at most ``rows`` at a time, of some or all row groups.

    A batch has exactly ``columns``, which the file must have, in that order. Raises InputError naming file and row
    group where they cannot be decoded, and where they would take memory out of proportion to the file.
    """
    group, text_bytes = 0, 0
    leaves = [leaf for column in columns for leaf in file.leaves[column]]
    texts = [i for i, column in enumerate(columns) if _is_text(file.columns.field(column).type)]
    try:
        paths = [file.footer.schema.column(leaf).path for leaf in leaves]
        with _opened(file) as opened:
            for group in range(len(file.group_rows)) if groups is None else groups:
                if not file.group_rows[group]:
                    continue
                file.refuse_unreadable(group, leaves)
                limit = min([rows, *(_safe_rows(file, group, leaf) for leaf in leaves)])
                for batch in opened.iter_batches(limit, row_groups=[group], columns=paths, use_threads=False):
                    batch = batch.select([batch.schema.get_field_index(column) for column in columns])
                    text_bytes += sum(batch.column(i).nbytes for i in texts)
                    if text_bytes > max(MOST_BYTES, MOST_BYTES_A_BYTE * file.size_bytes):
                        raise too_large(file, group, f"{text_bytes:,} bytes of text or pictures and more")
                    yield group, batch
    except _DAMAGE as error:
        raise unreadable_group(file, group, error) from error


def refuse_many_values(files: Sequence[DataFile], values: int, what: str, fix: str) -> None:
    """Raise InputError where ``values`` of ``files``, to be kept in memory, are out of proportion to their bytes."""
    size = sum(file.size_bytes for file in files)
    if values > max(MOST_VALUES, MOST_VALUES_A_BYTE * size):
        raise InputError(
            f"'{os.path.dirname(files[0].path) or '.'}': {values:,} {what} in {size:,} bytes of files; allowed: "
            f"{MOST_VALUES:,}, or {MOST_VALUES_A_BYTE} a byte; {fix}"
        )


def unreadable_group(file: DataFile, group: int, error: Exception | str) -> InputError:
    """The error for a row group whose data cannot be decoded."""
    reason = error if isinstance(error, str) else first_line(error)
    return InputError(
        f"'{file.path}', row group {group} of {len(file.group_rows)}: data cannot be read ({reason}): the file is "
        f"corrupt or changed since its footer was read; write or copy it again"
    )


def too_large(file: DataFile, group: int, what: str) -> InputError:
    """The error for a row group that would take memory out of proportion to its file."""
    return InputError(
        f"'{file.path}', row group {group} of {len(file.group_rows)}: {what} in a file of {file.size_bytes:,} bytes: "
        f"taken for an attack or an error; write it again with smaller row groups"
    )


def _opened(file: DataFile) -> pq.ParquetFile:
    """Opened for streaming: small read buffers instead of whole column chunks, checksums of pages checked."""
    return pq.ParquetFile(
        file.path, metadata=file.footer, buffer_size=1 << 18, pre_buffer=False, page_checksum_verification=True
    )


def _safe_rows(file: DataFile, group: int, leaf: int) -> int:
    """Rows of a row group that may be decoded at once, by the pages of one of its columns.

    Raises InputError where no number of rows is safe, and PageHeaderError where pages and footer disagree.
    """
    if (group, leaf) not in file.safe_rows:
        chunk = file.footer.row_group(group).column(leaf)
        start, stop = _chunk(file, group, leaf)
        with open(file.path, "rb") as raw:
            pages = read_pages(partial(_pread, raw.fileno()), start, stop, chunk.num_values)
        name = file.footer.schema.column(leaf).path
        stored = min(chunk.total_compressed_size, file.size_bytes)
        if pages.largest_bytes > max(MOST_BYTES, MOST_BYTES_A_BYTE * stored):
            raise too_large(file, group, f"column '{name}' has a page of {pages.largest_bytes:,} bytes")
        rows = max(int(file.group_rows[group]), 1)
        if pages.values > rows and pages.values > max(MOST_VALUES, MOST_VALUES_A_BYTE * stored):
            raise too_large(file, group, f"column '{name}' has lists of {pages.values:,} values")
        safe = BATCH_VALUES * rows // max(pages.values, 1)
        if chunk.physical_type == "BYTE_ARRAY":
            safe = min(safe, _safe_texts(file, pages, chunk.compression) * rows // max(pages.values, rows))
        file.safe_rows[group, leaf] = max(safe, 1)
    return file.safe_rows[group, leaf]


def _safe_texts(file: DataFile, pages: ChunkPages, codec: str) -> int:
    """How many strings of a column chunk may be decoded at once."""
    if _FRONT_CODING in pages.encodings:
        return BATCH_BYTES // max(pages.bytes, 1)
    safe = pages.safe_values(BATCH_BYTES)
    if pages.encodings & INDICES and pages.values * pages.dictionary[2] > BATCH_BYTES:
        safe = min(safe, BATCH_BYTES // max(_longest_entry(file, pages, codec), 1))
    return safe


def _longest_entry(file: DataFile, pages: ChunkPages, codec: str) -> int:
    """Bytes of the longest string of a dictionary, or of all, where they are many or of a codec that is not known."""
    offset, size, decoded, entries = pages.dictionary
    if not 4 * entries <= decoded <= DICTIONARY_BYTES:
        return max(decoded, pages.largest_bytes)
    with open(file.path, "rb") as raw:
        data = _pread(raw.fileno(), offset, size)
    try:
        if codec != "UNCOMPRESSED":
            data = pa.decompress(data, decoded, {"LZ4": "lz4_raw"}.get(codec, codec.lower()), asbytes=True)
    except (ValueError, *_DAMAGE):
        return decoded
    longest = place = 0
    for _ in range(entries):
        length = int.from_bytes(data[place : place + 4], "little")
        longest, place = max(longest, length), place + 4 + length
    return longest if place == len(data) else decoded


def _chunk(file: DataFile, group: int, leaf: int) -> tuple[int, int]:
    """Where the pages of a column begin in a file, and where they end."""
    chunk = file.footer.row_group(group).column(leaf)
    start, dictionary = chunk.data_page_offset, chunk.dictionary_page_offset
    if dictionary and 0 < dictionary < start:
        start = dictionary
    stop = start + chunk.total_compressed_size
    if not 0 < start <= stop <= file.size_bytes:
        raise PageHeaderError("its footer names places beyond the file")
    return start, stop


def _pread(descriptor: int, offset: int, size: int) -> bytes:
    return os.pread(descriptor, size, offset)


def _leaf_count(kind: pa.DataType) -> int:
    """Columns of a footer that a column of type ``kind`` takes."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return sum(_leaf_count(kind.field(i).type) for i in range(kind.num_fields)) if kind.num_fields else 1


def _is_text(kind: pa.DataType) -> bool:
    return pt.is_string(kind) or pt.is_large_string(kind) or pt.is_binary(kind) or pt.is_large_binary(kind)
