"""Small frozen stores for tests, and stores that are wrong but agree with their checksums."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from embeddings.files.file_entry import FileEntry
from embeddings.frozen.store_files import whole_checksum

IDS = np.array([42, -(2**63), 7, 2**63 - 1, -5], dtype=np.int64)


def random_vectors(count: int = 5, width: int = 6) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(count, width)).astype(np.float32)


def change_store(path: str, name: str, change: Callable[[np.ndarray], np.ndarray], marked: bool = False) -> None:
    """Put what ``change`` makes of an array of the store in its place; meta.json agrees with it.

    Args:
        marked: meta.json also says that all rows of this content were checked.
    """
    file, about = Path(path, name), Path(path, "meta.json")
    np.save(file, change(np.load(file)))
    meta, raw = json.loads(about.read_text()), file.read_bytes()
    meta["files"][name] = {"bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
    meta["checksum"] = whole_checksum({n: FileEntry(**entry) for n, entry in meta["files"].items()})
    meta["rows_checked"] = meta["checksum"] if marked else meta["rows_checked"]
    about.write_text(json.dumps(meta))


def flip_bits(file: Path) -> None:
    """XOR the last 64 bytes of a file; meta.json knows nothing of it."""
    raw = file.read_bytes()
    file.write_bytes(raw[:-64] + bytes(byte ^ 0xFF for byte in raw[-64:]))
