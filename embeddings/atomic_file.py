"""Atomic writes: a file or a folder takes its name once it is whole and on disk. The only writer of its kind here."""

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """A file to write, which becomes ``path`` where the block ends well, and vanishes where it does not.

    Synced before it is renamed, or a loss of power may leave the name without what it names. Other users may read it
    as they may read any new file, unlike those of ``tempfile``: runs are a team's. Raises OSError.
    """
    path = Path(path)
    temporary = _temporary(path)
    with open(temporary, "wb") as out:
        try:
            yield out
            out.flush()
            os.fsync(out.fileno())
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_json(path: str | Path, value: Any, indent: int | None = 1) -> None:
    """``value`` as JSON and a line's end at ``path``, atomically."""
    with atomic_write(path) as out:
        out.write(json.dumps(value, indent=indent).encode() + b"\n")


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes ``path`` where the block ends well, and vanishes where it does not.

    A folder that is at ``path`` stays until then, and stays for good where its replacement cannot be renamed. Whether
    it may be replaced is for the caller to check before. Raises OSError.
    """
    path = Path(os.path.abspath(path))
    temporary = _temporary(path)
    old = temporary.with_name(f"{temporary.name}.old")
    try:
        shutil.rmtree(temporary, ignore_errors=True)  # of a killed process that had our id
        temporary.mkdir(parents=True)
        yield temporary
        sync_folder(temporary)
        if path.is_dir():
            os.rename(path, old)
        try:
            os.rename(temporary, path)
        except OSError:
            if old.is_dir():
                os.rename(old, path)
            raise
        sync_folder(path.parent)
    finally:
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)


def sync_folder(folder: str | Path) -> None:
    """fsync a folder, so that the names in it outlive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _temporary(path: Path) -> Path:
    """A hidden name beside ``path`` that no other thread or process takes."""
    return path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}")
