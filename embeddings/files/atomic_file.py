"""Atomic writes: a file or a folder takes its name once it is whole and on disk. The only writer of its kind here."""

import glob
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


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


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """An empty folder to fill, which becomes ``path`` where the block ends well, and vanishes where it does not.

    A folder that is at ``path`` stays until then, and stays for good where its replacement cannot be renamed. Whether
    it may be replaced is for the caller to check before. What processes of this host that were killed in here left is
    removed, or put back where they had moved the folder at ``path`` away. Raises OSError.

    Checkpoints, which many ranks write, take their names in train/checkpoint/checkpoint_folder.py.
    """
    path = Path(os.path.abspath(path))
    temporary = _temporary(path)
    old = temporary.with_name(f"{temporary.name}.old")
    _recover(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        sync_tree(temporary)
        if path.is_dir():
            os.rename(path, old)
        try:
            os.rename(temporary, path)
        except OSError:
            if old.is_dir():
                os.rename(old, path)
            raise
        sync_path(path.parent)
    finally:
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)


def sync_path(path: str | Path) -> None:
    """fsync a file, or a folder, so that the names in it outlive a loss of power. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: str | Path) -> None:
    """fsync a folder, and every file and folder in it. Raises OSError."""
    for parent, _, files in os.walk(folder):
        for path in (os.path.join(parent, file) for file in files):
            if not os.path.islink(path):
                sync_path(path)
        sync_path(parent)


def _temporary(path: Path) -> Path:
    """A hidden name beside ``path`` that no other thread or process takes."""
    return path.with_name(f"{_prefix(path)}{os.getpid()}-{threading.get_native_id()}")


def _prefix(path: Path) -> str:
    return f".{path.name}.{socket.gethostname()}."


def _recover(path: Path) -> None:
    """Clear away what ``atomic_folder`` left of ``path`` where a process of this host was killed in it."""
    for left in path.parent.glob(f"{glob.escape(_prefix(path))}*"):
        owner = left.name.removeprefix(_prefix(path)).removesuffix(".old")
        process = owner.partition("-")[0]
        ours = _temporary(path).name.endswith(f".{owner}")  # of a killed process that had our id
        if not process.isdecimal() or (not ours and _is_running(int(process))):
            continue
        if left.suffix == ".old" and not path.exists():
            os.rename(left, path)
        else:
            shutil.rmtree(left, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True
