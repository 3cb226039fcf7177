"""Files of a checkpoint: their checksums, and whether they are still what was written."""

import json
import os
import zlib
from pathlib import Path
from typing import Any

from embeddings.errors import InputError

PROGRESS = "progress.json"
_CHUNK = 4 << 20


def checksum(path: Path) -> int:
    """CRC-32 of a file. The interpreter is free for other threads meanwhile."""
    value = 0
    with open(path, "rb", buffering=0) as source:
        while chunk := source.read(_CHUNK):
            value = zlib.crc32(chunk, value)
    return value


def sync(folder: Path) -> None:
    """Have the names in a folder outlive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_progress(path: Path) -> dict[str, Any]:
    """What was saved with checkpoint ``path``. Raises InputError where that is not readable."""
    try:
        progress = json.loads((path / PROGRESS).read_text())
        progress["files"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, reason(error)) from error
    return progress


def check_files(path: Path, files: dict[str, list[int]]) -> str | None:
    """What is wrong with ``files`` of checkpoint ``path``; None where nothing is."""
    for name, (size, wanted) in files.items():
        try:
            got = (path / name).stat().st_size
            if got != size:
                return f"'{name}' has {got} bytes instead of {size}"
            if checksum(path / name) != wanted:
                return f"'{name}' has changed since it was written"
        except OSError as error:
            return reason(error)
    return None


def damaged(path: Path, why: str) -> InputError:
    """The error for a checkpoint that is not whole."""
    return InputError(f"checkpoint '{path}' is damaged: {why}; remove it or name another")


def reason(error: BaseException) -> str:
    """The first line of what ``error`` says, with its kind where it says little."""
    text = (str(error).strip().splitlines() or [""])[0][:200]
    return text if " " in text else f"{type(error).__name__} {text}".strip()
