"""Writes a frozen store atomically, block by block: one block of vectors in memory beside the source at most."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from iopath.common.file_io import g_pathmgr

from embeddings.errors import InputError
from embeddings.files.atomic_file import atomic_folder
from embeddings.files.file_entry import FileEntry
from embeddings.files.folder_lock import folder_lock
from embeddings.files.json_file import write_json
from embeddings.frozen.quantise import DTYPES, encoded
from embeddings.frozen.store_files import FORMAT, META, StoreMeta, whole_checksum

BLOCK_BYTES = 32 << 20  # of one float64 block of vectors
Block = tuple[np.ndarray, np.ndarray, np.ndarray | None]  # ids, values, scale


def write_store(path: str, ids: np.ndarray, vectors: np.ndarray, *, dtype: str, encoder: str, overwrite: bool) -> None:
    """Write a frozen store; arguments and errors as in ``embeddings.frozen.store.build_store``."""
    path = os.fspath(path)
    ids, vectors = checked_vectors(ids, vectors, dtype)
    check_target(path, overwrite)
    order = None if (ids[1:] > ids[:-1]).all() else np.argsort(ids, kind="stable")
    if order is not None:
        ids = ids[order]
        repeats = np.flatnonzero(ids[1:] == ids[:-1])
        if repeats.size:
            raise InputError(
                f"id {ids[repeats[0]]} repeats ({repeats.size} repeats in all); allowed: one vector for each id; "
                "drop the repeats before building"
            )
    blocks = _encoded_blocks(ids, vectors, order, dtype)
    write_blocks(path, blocks, ids.size, vectors.shape[1], dtype=dtype, encoder=encoder, overwrite=overwrite)


def write_blocks(
    path: str, blocks: Iterable[Block], count: int, width: int, *, dtype: str, encoder: str, overwrite: bool
) -> None:
    """Write a frozen store of ``count`` unit vectors of ``width`` that are in ``dtype`` already, block after block.

        ids     [n]     int64; ascending, over all blocks
        values  [n, M]  ``dtype``
        scale   [n]     float32, or None unless int8

    Raises InputError for an existing ``path`` without ``overwrite``, or a folder that cannot be written.
    """
    with locked_target(path, overwrite), _store_folder(path, overwrite) as folder:
        files = _write_arrays(folder, blocks, count, width, dtype)
        checksum = whole_checksum(files)
        meta = StoreMeta.model_validate(
            {
                "format": FORMAT,
                "width": width,
                "dtype": dtype,
                "encoder": encoder,
                "count": count,
                "files": files,
                "checksum": checksum,
                "rows_checked": checksum,
            }
        )
        write_json(os.path.join(folder, META), meta.model_dump(), indent=2)


def _encoded_blocks(ids: np.ndarray, vectors: np.ndarray, order: np.ndarray | None, dtype: str) -> Iterator[Block]:
    step = max(1, BLOCK_BYTES // (8 * vectors.shape[1]))
    for start in range(0, ids.size, step):
        block = ids[start : start + step]
        source = vectors[start : start + step] if order is None else vectors[order[start : start + step]]
        yield (block, *encoded(block, source, dtype))


def checked_vectors(ids: np.ndarray, vectors: np.ndarray, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """``ids`` as int64, and ``vectors``. Raises InputError for a wrong dtype or shape."""
    if dtype not in DTYPES:
        raise InputError(f"dtype '{dtype}' of a frozen store; allowed: {', '.join(DTYPES)}")
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise InputError(f"ids are {ids.dtype} {list(ids.shape)}; allowed: integers [N]; convert them first")
    if vectors.ndim != 2 or not (vectors.dtype.kind == "f" or vectors.dtype == np.int8):
        raise InputError(
            f"vectors are {vectors.dtype} {list(vectors.shape)}; allowed: float or int8 [N, M]; convert them first"
        )
    if ids.size != vectors.shape[0]:
        raise InputError(
            f"{ids.size} ids but {vectors.shape[0]} vectors; allowed: one vector for each id, in the same order"
        )
    if not vectors.size:
        raise InputError(
            f"vectors are {list(vectors.shape)}: nothing to store; allowed: at least one vector of width 1"
        )
    if ids.dtype == np.uint64 and int(ids.max()) >= 2**63:
        raise InputError(
            f"id {ids.max()} does not fit int64; allowed: signed 64-bit ids; reinterpret with .view('int64')"
        )
    return ids.astype(np.int64, copy=False), vectors


def check_target(path: str, overwrite: bool) -> None:
    """Raise InputError where a store must not be written to ``path``: before any work."""
    if not g_pathmgr.exists(path) or (g_pathmgr.isdir(path) and not g_pathmgr.ls(path)):
        return
    if not g_pathmgr.exists(os.path.join(path, META)):
        raise InputError(f"'{path}' exists and is no frozen store, so it is not replaced; choose another path")
    if not overwrite:
        raise InputError(f"frozen store '{path}' exists; pass --overwrite, or choose another path")


@contextlib.contextmanager
def locked_target(path: str, overwrite: bool) -> Iterator[None]:
    """``check_target``, and no other process writes a store there while inside. Raises InputError where one does.

    A remote place has no lock.
    """

    def check() -> None:
        check_target(path, overwrite)

    if "://" in path:
        check()
        yield
        return
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(folder_lock(path, "frozen store", "choose another path", check=check))
        except OSError as error:
            raise _unwritable(path, error) from error
        yield


def _unwritable(path: str, error: OSError) -> InputError:
    return InputError(f"cannot write '{path}': {error}; free space, fix permissions or choose another path")


@contextlib.contextmanager
def _store_folder(path: str, overwrite: bool) -> Iterator[str]:
    """A fresh local folder whose files become ``path`` when the block ends well, and vanish when it does not."""
    try:
        if "://" in path:
            with tempfile.TemporaryDirectory(prefix="frozen-store-") as folder:
                yield folder
                _upload(folder, path, overwrite)
        else:
            with atomic_folder(path) as local:
                yield str(local)
    except OSError as error:
        raise _unwritable(path, error) from error


def _upload(folder: str, path: str, overwrite: bool) -> None:
    g_pathmgr.mkdirs(path)
    for name in sorted(os.listdir(folder), key=lambda name: name == META):  # meta.json last: it makes the store
        g_pathmgr.copy_from_local(os.path.join(folder, name), os.path.join(path, name), overwrite=overwrite)


def _write_arrays(folder: str, blocks: Iterable[Block], count: int, width: int, dtype: str) -> dict[str, FileEntry]:
    """Write ids, vectors and scale; return bytes and digest of each file."""
    with contextlib.ExitStack() as stack:
        writers = {
            "ids.npy": stack.enter_context(_NpyWriter(folder, "ids.npy", (count,), "int64")),
            "vectors.npy": stack.enter_context(_NpyWriter(folder, "vectors.npy", (count, width), dtype)),
        }
        if dtype == "int8":
            writers["scale.npy"] = stack.enter_context(_NpyWriter(folder, "scale.npy", (count,), "float32"))
        for ids, values, scale in blocks:
            writers["ids.npy"].append(ids)
            writers["vectors.npy"].append(values)
            if scale is not None:
                writers["scale.npy"].append(scale)
    return {name: writer.entry for name, writer in writers.items()}


class _NpyWriter:
    """A .npy file written block by block, synced at its end; ``entry`` is what meta.json says of it: bytes, SHA-256."""

    def __init__(self, folder: str, name: str, shape: tuple[int, ...], dtype: str) -> None:
        self._file = open(os.path.join(folder, name), "wb")
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._digest = hashlib.sha256()
        self._bytes = 0
        descr = np.lib.format.dtype_to_descr(self._dtype)
        np.lib.format.write_array_header_1_0(self, {"descr": descr, "fortran_order": False, "shape": shape})

    def write(self, data: Any) -> None:
        """Write bytes and hash them, as a file object for numpy's header."""
        self._file.write(data)
        self._digest.update(data)
        self._bytes += memoryview(data).nbytes

    def append(self, block: np.ndarray) -> None:
        """Write the next rows."""
        self.write(np.ascontiguousarray(block, dtype=self._dtype).reshape(-1).view(np.uint8))

    @property
    def entry(self) -> FileEntry:
        """The file's bytes and SHA-256."""
        return FileEntry(bytes=self._bytes, sha256=self._digest.hexdigest())

    def __enter__(self) -> "_NpyWriter":
        return self

    def __exit__(self, *_: object) -> None:
        with self._file as file:
            file.flush()
            os.fsync(file.fileno())
