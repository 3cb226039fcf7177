"""Reads and checks the files of a frozen store: meta.json, memory-mapped arrays, digests."""

import hashlib
import json
import os
from typing import Any

import numpy as np
from iopath.common.file_io import g_pathmgr

from embeddings.errors import InputError
from embeddings.frozen.quantise import DTYPES

FORMAT = 1
META = "meta.json"
REBUILD = "build the store again with 'python -m train store build'"
_META_TYPES = {"format": int, "width": int, "dtype": str, "encoder": str, "count": int, "files": dict, "checksum": str}


def whole_checksum(files: dict[str, dict[str, Any]]) -> str:
    """One digest of a store's content: SHA-256 over its files' names and digests."""
    lines = "".join(f"{files[name]['sha256']}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def read_meta(path: str) -> dict[str, Any]:
    """meta.json of the store at ``path``, checked. Raises InputError."""
    file = os.path.join(path, META)
    if not g_pathmgr.exists(file):
        why = "the folder exists but has no meta.json" if g_pathmgr.isdir(path) else "no such folder"
        raise InputError(f"no frozen store at '{path}' ({why}); make one with 'python -m train store build'")
    try:
        with g_pathmgr.open(file, "r") as f:
            meta = json.load(f)
    except (OSError, ValueError) as error:
        raise InputError(f"'{file}' is not readable JSON ({error}); {REBUILD}") from error
    if not isinstance(meta, dict):
        raise InputError(f"'{file}' holds {type(meta).__name__}, not an object; {REBUILD}")
    for key, kind in _META_TYPES.items():
        if not isinstance(meta.get(key), kind):
            raise InputError(f"'{file}': {key} is {meta.get(key)!r}, not {kind.__name__}; {REBUILD}")
    if meta["format"] != FORMAT:
        raise InputError(f"'{file}': format {meta['format']}, but this version reads {FORMAT}; {REBUILD}")
    if meta["dtype"] not in DTYPES:
        raise InputError(f"'{file}': dtype '{meta['dtype']}'; allowed: {', '.join(DTYPES)}; {REBUILD}")
    if meta["count"] < 1 or meta["width"] < 1:
        raise InputError(f"'{file}': count {meta['count']} and width {meta['width']} must be at least 1; {REBUILD}")
    names = {"ids.npy", "vectors.npy"} | ({"scale.npy"} if meta["dtype"] == "int8" else set())
    entries = meta["files"].values()
    if set(meta["files"]) != names or not all(isinstance(e, dict) and {"bytes", "sha256"} <= set(e) for e in entries):
        raise InputError(f"'{file}': files must give bytes and sha256 of {sorted(names)}; {REBUILD}")
    if meta["checksum"] != whole_checksum(meta["files"]):
        raise InputError(f"'{file}': checksum does not belong to the files' digests; {REBUILD}")
    return meta


def map_array(path: str, meta: dict[str, Any], name: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """The array in file ``name``, memory-mapped copy-on-write. Raises InputError.

    Copy-on-write is writable to torch, which so takes it without a copy or a warning, and never reaches the file.
    """
    file = os.path.join(path, name)
    if not g_pathmgr.exists(file):
        raise InputError(f"'{file}' is missing; copy it again or {REBUILD}")
    try:
        local = g_pathmgr.get_local_path(file)
        size = os.path.getsize(local)
        if size != meta["files"][name]["bytes"]:
            raise InputError(
                f"'{file}' has {size} bytes, but {META} says {meta['files'][name]['bytes']}: it is truncated or of "
                f"another store; copy it again or {REBUILD}"
            )
        array = np.load(local, mmap_mode="c", allow_pickle=False)
    except InputError:
        raise
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"'{file}' is not a readable .npy file ({error}); copy it again or {REBUILD}") from error
    if array.shape != shape or array.dtype != np.dtype(dtype) or not array.flags.c_contiguous:
        raise InputError(
            f"'{file}' is {array.dtype} {list(array.shape)}, but {META} says {dtype} {list(shape)}; {REBUILD}"
        )
    return np.asarray(array)


def file_digest(file: str) -> str:
    """SHA-256 of a file's bytes, read in blocks."""
    digest = hashlib.sha256()
    with g_pathmgr.open(file, "rb") as f:
        while block := f.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
