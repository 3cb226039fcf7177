"""Checksums of a checkpoint's files, and progress.json, which holds them and what else was saved."""

import json
import zlib
from pathlib import Path
from typing import Any

from embeddings.errors import InputError, first_line

PROGRESS = "progress.json"
_CHUNK = 4 << 20


def checksum(path: Path) -> int:
    """CRC-32 of a file. The interpreter is free for other threads meanwhile."""
    value = 0
    with open(path, "rb", buffering=0) as source:
        while chunk := source.read(_CHUNK):
            value = zlib.crc32(chunk, value)
    return value


def read_progress(path: Path) -> dict[str, Any]:
    """What was saved with checkpoint ``path``. Raises InputError where that is not readable."""
    try:
        progress = json.loads((path / PROGRESS).read_text())
        progress["files"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, first_line(error)) from error
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
            return first_line(error)
    return None


def damaged(path: Path, why: str) -> InputError:
    """The error for a checkpoint that is not whole."""
    return InputError(f"checkpoint '{path}' is damaged: {why}; remove it or name another")
