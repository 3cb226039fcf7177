"""What the data set tests ask of a written folder."""

import hashlib
from pathlib import Path

import pyarrow.parquet as pq


def rows(folder: Path, split: str) -> list[dict]:
    """All rows of a split, file after file."""
    return [row for path in sorted((folder / split).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file, by its place in the folder."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
