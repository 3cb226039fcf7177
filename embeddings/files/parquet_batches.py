"""Row groups of parquet files, decoded within bounded memory, page checksums verified.

Whoever reads rows of parquet reads them through here. What is decoded at once is bounded before it is decoded, by the
headers of the pages, as kilobytes of parquet may hold 10^9 values and a footer may lie about them. docs/data.md states
the limits.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from embeddings.errors import InputError
from embeddings.files.parquet_footer import DAMAGE, DataFile, read_at, unreadable_group
from embeddings.files.parquet_pages import INDICES, ChunkPages, read_pages

BATCH_VALUES = 1 << 21  # of lists, decoded at once on average
MOST_VALUES = 1 << 25  # of lists in a row group, which one row may hold; of ids that are kept in memory
MOST_VALUES_A_BYTE = 1024  # beyond that, for each byte that they take in the file
BATCH_BYTES = 64 << 20  # of strings, decoded at once
DICTIONARY_BYTES = 16 << 20  # of strings, looked through for the longest
MOST_BYTES = 256 << 20  # of a page, or of a file's strings
MOST_BYTES_A_BYTE = 1000  # beyond that, for each byte that they take in the file

_FRONT_CODING = 7  # DELTA_BYTE_ARRAY: what a value shares with the one before is not repeated


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
    except DAMAGE as error:
        raise unreadable_group(file, group, error) from error


def refuse_many_values(files: Sequence[DataFile], values: int, what: str, fix: str) -> None:
    """Raise InputError where ``values`` of ``files``, to be kept in memory, are out of proportion to their bytes."""
    size = sum(file.size_bytes for file in files)
    if values > max(MOST_VALUES, MOST_VALUES_A_BYTE * size):
        raise InputError(
            f"'{os.path.dirname(files[0].path) or '.'}': {values:,} {what} in {size:,} bytes of files; allowed: "
            f"{MOST_VALUES:,}, or {MOST_VALUES_A_BYTE} a byte; {fix}"
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
        start, stop = file.chunk_span(group, leaf)
        with open(file.path, "rb") as raw:
            pages = read_pages(partial(read_at, raw.fileno()), start, stop, chunk.num_values)
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
        data = read_at(raw.fileno(), offset, size)
    try:
        if codec != "UNCOMPRESSED":
            data = pa.decompress(data, decoded, {"LZ4": "lz4_raw"}.get(codec, codec.lower()), asbytes=True)
    except (ValueError, *DAMAGE):
        return decoded
    longest = place = 0
    for _ in range(entries):
        length = int.from_bytes(data[place : place + 4], "little")
        longest, place = max(longest, length), place + 4 + length
    return longest if place == len(data) else decoded


def _is_text(kind: pa.DataType) -> bool:
    return pt.is_string(kind) or pt.is_large_string(kind) or pt.is_binary(kind) or pt.is_large_binary(kind)
