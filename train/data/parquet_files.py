"""The parquet files of one split and their footers. No rows are read here."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embeddings.errors import InputError, first_line, nearest

FOOTER_THREADS = 16
CHUNK_BYTES = 16 << 20  # decoded at once; bounds memory where histories are long
CHUNK_ROWS = (256, 32_768)  # bounds of the rows decoded at once


@dataclass(frozen=True)
class DataFile:
    """One parquet file. ``group_rows`` [G] int64 are the rows of its row groups."""

    path: str
    name: str
    size_bytes: int
    footer: pq.FileMetaData
    columns: pa.Schema
    group_rows: np.ndarray


def find_files(folder: str, split: str) -> list[str]:
    """Paths of ``folder/split/*.parquet``, sorted by name. Names that begin with ``.`` or ``_`` are left out.

    Raises InputError where the folder, the split, or every parquet file is missing.
    """
    place = os.path.join(folder, split)
    if not os.path.isdir(folder):
        raise InputError(
            f"data folder '{folder}' does not exist; make it with 'python -m train prepare', or fix data.path"
        )
    if not os.path.isdir(place):
        splits = sorted(e.name for e in os.scandir(folder) if e.is_dir() and e.name != "frozen")
        raise InputError(
            f"split '{split}' is not in '{folder}'{nearest(split, splits)}; folders there: {splits or 'none'}; "
            f"a split is a folder of parquet files"
        )
    names_there = sorted(os.listdir(place))
    names = [n for n in names_there if n.endswith(".parquet") and not n.startswith((".", "_"))]
    if not names:
        got = f"holds {names_there[:5]} and no file '*.parquet'" if names_there else "is empty"
        raise InputError(f"split folder '{place}' {got}; put the split's parquet files directly into it")
    return [os.path.join(place, n) for n in names]


def read_footers(paths: list[str]) -> list[DataFile]:
    """Footers of all ``paths``, in that order. Raises InputError naming a file that is no whole parquet file."""
    with ThreadPoolExecutor(min(FOOTER_THREADS, len(paths))) as pool:
        return list(pool.map(_read_footer, paths))


def _read_footer(path: str) -> DataFile:
    try:
        size = os.path.getsize(path)
        footer = pq.read_metadata(path)
        columns = footer.schema.to_arrow_schema()
    except MemoryError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"'{path}' is not a readable parquet file ({first_line(error)}): it is truncated or corrupt; "
            f"write or copy it again"
        ) from error
    rows = np.array([footer.row_group(g).num_rows for g in range(footer.num_row_groups)], dtype=np.int64)
    return DataFile(path, os.path.basename(path), size, footer, columns, rows)


def fingerprint(files: list[DataFile]) -> str:
    """A digest of names, sizes and row groups: equal as long as a saved position means the same rows."""
    digest = hashlib.sha256()
    for f in files:
        digest.update(f"{f.name}\0{f.size_bytes}\0{f.group_rows.tolist()}\n".encode())
    return digest.hexdigest()[:16]


def chunk_rows(files: list[DataFile], columns: set[str]) -> int:
    """Rows to decode at once: about CHUNK_BYTES of int64 values, by the numbers of values in the footers."""
    rows = values = 0
    for f in files:
        for g in range(f.footer.num_row_groups):
            group = f.footer.row_group(g)
            rows += group.num_rows
            chunks = (group.column(c) for c in range(group.num_columns))
            values += sum(c.num_values for c in chunks if c.path_in_schema.split(".")[0] in columns)
    low, high = CHUNK_ROWS
    return int(min(max(CHUNK_BYTES * rows // (8 * max(values, 1)), low), high))


def open_file(file: DataFile) -> pq.ParquetFile:
    """``file`` opened for streaming: small read buffers instead of whole column chunks, checksums of pages checked."""
    return pq.ParquetFile(
        file.path, metadata=file.footer, buffer_size=1 << 18, pre_buffer=False, page_checksum_verification=True
    )


def unreadable_group(file: DataFile, group: int, error: Exception | str) -> InputError:
    """The error for a row group whose data cannot be decoded."""
    reason = error if isinstance(error, str) else first_line(error)
    return InputError(
        f"'{file.path}', row group {group} of {len(file.group_rows)}: data cannot be read ({reason}): the file is "
        f"corrupt or changed since its footer was read; write or copy it again"
    )
