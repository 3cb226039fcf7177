"""The parquet files of one split: which they are, what is passed over, how many rows to decode at once."""

import hashlib
import logging
import os
from collections.abc import Sequence

from embeddings.errors import InputError, listed, nearest
from embeddings.files.parquet_folder import parquet_paths, partitions
from embeddings.files.parquet_footer import DataFile, read_footers

log = logging.getLogger(__name__)

CHUNK_BYTES = 16 << 20  # decoded at once; bounds memory where histories are long
CHUNK_ROWS = (256, 32_768)  # bounds of the rows decoded at once


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
    paths, passed_over = parquet_paths(place)
    if not paths:
        got = f"holds {listed(passed_over)} and no file '*.parquet'" if passed_over else "is empty"
        raise InputError(
            f"split folder '{place}' {got}; put the split's parquet files directly into it, with a partition's key "
            f"as a column"
        )
    return paths


def announce_files(files: Sequence[DataFile]) -> None:
    """Say what lies beside ``files`` of one folder and is not read, and how many of them have no page checksums."""
    _announce_passed_over(os.path.dirname(files[0].path))
    _announce_unchecked(files)


def announce_source(source: str) -> None:
    """The same of a parquet file, or a folder of them, that a command names, where it is one."""
    paths = [source]
    if os.path.isdir(source):
        paths = parquet_paths(source)[0]
        _announce_passed_over(source)
    if paths and os.path.exists(source):
        _announce_unchecked(read_footers(paths))


def _announce_passed_over(place: str) -> None:
    if not (passed_over := parquet_paths(place)[1]):
        return
    below, folders = partitions(place)
    missing = f"{below} files below {listed(folders)} are NOT READ and their rows are missing; " if below else ""
    log.warning(
        "'%s': %spassed over: %s; only files '*.parquet' directly in it are read",
        place, missing, listed(passed_over),
    )  # fmt: skip


def _announce_unchecked(files: Sequence[DataFile]) -> None:
    if unchecked := sum(not file.has_checksums for file in files):
        log.warning(
            "'%s': %d of %d files carry no page checksums, so damage in them may go unseen; write them with "
            "page checksums (pyarrow: write_page_checksum=True)",
            files[0].path if len(files) == 1 else os.path.dirname(files[0].path) or ".", unchecked, len(files),
        )  # fmt: skip


def fingerprint(files: Sequence[DataFile]) -> str:
    """A digest of names, sizes and row groups: equal as long as a saved position means the same rows."""
    digest = hashlib.sha256()
    for f in files:
        digest.update(f"{f.name}\0{f.size_bytes}\0{f.group_rows.tolist()}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


def chunk_rows(files: Sequence[DataFile], columns: set[str]) -> int:
    """Rows to decode at once: about CHUNK_BYTES of int64 values, by the numbers of values in the footers."""
    rows = sum(int(f.group_rows.sum()) for f in files)
    values = sum(
        f.values(g, column) for f in files for g in range(len(f.group_rows)) for column in columns & f.leaves.keys()
    )
    low, high = CHUNK_ROWS
    return int(min(max(CHUNK_BYTES * rows // (8 * max(values, 1)), low), high))
