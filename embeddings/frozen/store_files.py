"""Reads and checks the files of a frozen store: meta.json, memory-mapped arrays, blocks of their rows, digests."""

import hashlib
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from iopath.common.file_io import g_pathmgr
from pydantic import ConfigDict, Field, model_validator

from embeddings.errors import InputError, first_line
from embeddings.files.file_entry import FileEntry
from embeddings.files.json_file import read_json
from embeddings.files.npy_file import map_npy
from embeddings.frozen.quantise import StoredDtype
from embeddings.validation import Strict, validated

FORMAT = 1
META = "meta.json"
REBUILD = "build the store again with 'python -m train store build'"
COPY_OR_REBUILD = f"copy it again or {REBUILD}"
_MOST_META_BYTES = 1 << 20
_IDS_AT_ONCE = 1 << 18  # so that they stay in the processor's cache


class StoreMeta(Strict):
    """meta.json. ``rows_checked`` is the checksum for which all rows were seen to have norm 1; old stores have none."""

    model_config = ConfigDict(strict=True)

    format: int
    width: int = Field(ge=1)
    dtype: StoredDtype
    encoder: str
    count: int = Field(ge=1)
    files: dict[str, FileEntry]
    checksum: str
    rows_checked: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _format_first(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and raw.get("format", FORMAT) != FORMAT:
            raise ValueError(f"format {raw['format']!r:.40}, but this version reads {FORMAT}")
        return raw

    @model_validator(mode="after")
    def _belong_together(self) -> "StoreMeta":
        names = {"ids.npy", "vectors.npy"} | ({"scale.npy"} if self.dtype == "int8" else set())
        if set(self.files) != names:
            raise ValueError(f"files must be {sorted(names)} for dtype {self.dtype}")
        if self.checksum != whole_checksum(self.files):
            raise ValueError("checksum does not belong to the files' digests")
        return self


def whole_checksum(files: Mapping[str, FileEntry]) -> str:
    """One digest of a store's content: SHA-256 over its files' names and digests."""
    lines = "".join(f"{files[name].sha256}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def read_meta(path: str) -> StoreMeta:
    """meta.json of the store at ``path``, checked. Raises InputError."""
    file = os.path.join(path, META)
    if not g_pathmgr.exists(file):
        why = "the folder exists but has no meta.json" if g_pathmgr.isdir(path) else "no such folder"
        raise InputError(f"no frozen store at '{path}' ({why}); make one with 'python -m train store build'")
    try:
        local = g_pathmgr.get_local_path(file)
        if not os.path.isfile(local):  # to open a pipe would wait for its writer
            raise InputError(f"'{file}' is no file")
        raw = read_json(local, "frozen store's", _MOST_META_BYTES)
        return validated(StoreMeta, raw, f"'{file}'")
    except (InputError, OSError) as error:
        raise InputError(f"{error if isinstance(error, InputError) else first_line(error)}; {REBUILD}") from None


def map_array(path: str, meta: StoreMeta, name: str, shape: tuple[int, ...], dtype: str) -> "StoredArray":
    """The array in file ``name``, memory-mapped copy-on-write. Raises InputError.

    Copy-on-write is writable to torch, which so takes it without a copy or a warning, and never reaches the file.
    """
    file = os.path.join(path, name)
    if not g_pathmgr.exists(file):
        raise InputError(f"'{file}' is missing; {COPY_OR_REBUILD}")
    try:
        local = g_pathmgr.get_local_path(file)
        size = os.path.getsize(local)
        if size != meta.files[name].bytes:
            raise InputError(
                f"'{file}' has {size} bytes, but {META} says {meta.files[name].bytes}: it is truncated or of "
                f"another store; {COPY_OR_REBUILD}"
            )
        array = map_npy(local, COPY_OR_REBUILD, mode="c")
        state = os.stat(local)
    except OSError as error:
        raise InputError(f"'{file}' cannot be read ({first_line(error)}); {COPY_OR_REBUILD}") from None
    if array.shape != shape or array.dtype != np.dtype(dtype) or not array.flags.c_contiguous:
        raise InputError(
            f"'{file}' is {array.dtype} {list(array.shape)}, but {META} says {dtype} {list(shape)}; {REBUILD}"
        )
    return StoredArray(file, local, np.asarray(array), array.offset, state)


class StoredArray:
    """An array of a store and its file.

    file   as errors name it; local is where it lies on this machine
    array  the memory map
    state  what os.stat said of the file as it was mapped; after a check that found it the same, what it said then
    """

    def __init__(self, file: str, local: str, array: np.ndarray, offset: int, state: os.stat_result) -> None:
        self.file, self.local, self.array, self.offset, self.state = file, local, array, offset, state

    def changed(self) -> bool:
        """Whether the mapped file itself was written to since. One that took its name by a rename changes no map."""
        try:
            now = os.stat(self.local)
        except OSError:  # it has another name, or none: the map stays
            return False
        if (now.st_dev, now.st_ino) != (self.state.st_dev, self.state.st_ino):
            return False
        return (now.st_size, now.st_mtime_ns) != (self.state.st_size, self.state.st_mtime_ns)

    def reader(self) -> "RowReader":
        """Reads the file's rows in turn."""
        return RowReader(self)


class RowReader:
    """Rows of a store's file by plain reads: where it is cut short meanwhile, that is an error and no SIGBUS.

    ``digest`` is of all that was read, from the file's first byte on.
    """

    def __init__(self, stored: StoredArray) -> None:
        self._stored = stored
        self._shape, self._dtype = stored.array.shape[1:], stored.array.dtype
        self._row_bytes = self._dtype.itemsize * int(np.prod(self._shape))
        self._source = open(stored.local, "rb", buffering=0)
        self.digest = hashlib.sha256()
        self.digest.update(self._bytes(stored.offset))

    def next(self, rows: int, hashed: bool = True) -> np.ndarray:
        """The next ``rows`` rows, [rows, ...]. Raises InputError where they are not there."""
        raw = self._bytes(rows * self._row_bytes)
        if hashed:
            self.digest.update(raw)
        return np.frombuffer(raw, self._dtype).reshape(rows, *self._shape)

    def row(self, row: int) -> np.ndarray:
        """Row ``row`` alone, [1, ...]. Raises InputError where it is not there."""
        self._source.seek(self._stored.offset + row * self._row_bytes)
        return self.next(1, hashed=False)

    def _bytes(self, count: int) -> bytearray:
        raw = bytearray(count)
        view, done = memoryview(raw), 0
        while done < count:
            try:
                got = self._source.readinto(view[done:])
            except OSError as error:
                raise InputError(
                    f"'{self._stored.file}' cannot be read ({first_line(error)}); {COPY_OR_REBUILD}"
                ) from None
            if not got:
                raise InputError(f"'{self._stored.file}' was cut short while it was read; {COPY_OR_REBUILD}")
            done += got
        return raw

    def __enter__(self) -> "RowReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()


def check_ids(ids: StoredArray) -> None:
    """Refuse ids that repeat or do not ascend: a lookup would miss some. 10^8 of them took 0.4 s.

    Raises InputError.
    """
    count, last = len(ids.array), None
    with ids.reader() as reader:
        for first in range(0, count, _IDS_AT_ONCE):
            block = reader.next(min(_IDS_AT_ONCE, count - first), hashed=False)
            if last is not None and block[0] <= last:
                wrong, before = block[0], last
            elif not (block[1:] > block[:-1]).all():
                place = int(np.argmin(block[1:] > block[:-1]))
                wrong, before = block[place + 1], block[place]
            else:
                last = block[-1]
                continue
            raise InputError(f"'{ids.file}' is not sorted and unique: id {wrong} follows id {before}; {REBUILD}")
