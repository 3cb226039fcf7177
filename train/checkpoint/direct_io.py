"""Direct I/O (O_DIRECT): checkpoint files written past the page cache, with a CRC-32 of what was written."""

import fcntl
import io
import mmap
import os
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch.distributed.checkpoint.filesystem import FileSystem, FileSystemWriter

if TYPE_CHECKING:
    from typing_extensions import Buffer

_BLOCK = 1 << 20  # stays in the second cache, where the checksum finds it
_DIRECT = getattr(os, "O_DIRECT", 0)


class DirectFile(io.RawIOBase):
    """A file written from beginning to end, and closed: on disk then. Bytes are collected in an aligned buffer.

    Args:
        handle: of the file, just opened.
    """

    def __init__(self, handle: int) -> None:
        self.size, self.checksum = 0, 0
        self._handle = handle
        self._pages = mmap.mmap(-1, _BLOCK)
        self._buffer, self._filled = np.frombuffer(self._pages, np.uint8), 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.size

    def write(self, data: "Buffer") -> int:
        source, done = np.frombuffer(memoryview(data), np.uint8), 0
        while done < source.size:
            part = source[done : done + _BLOCK - self._filled]
            self._buffer[self._filled : self._filled + part.size] = part  # other threads run meanwhile
            self._filled, done = self._filled + part.size, done + part.size
            if self._filled == _BLOCK:
                self._drain()
        self.size += done
        return done

    def close(self) -> None:
        """Have all of it on disk. Raises OSError where that failed."""
        if self.closed:
            return
        try:
            self._through_cache()  # the last bytes fill no block
            self._drain()
            os.fsync(self._handle)
        finally:
            os.close(self._handle)
            super().close()

    def _drain(self) -> None:
        whole = memoryview(self._pages)[: self._filled]
        self.checksum, self._filled = zlib.crc32(whole, self.checksum), 0
        while whole:
            written = os.write(self._handle, whole)
            whole = whole[written:]
            if whole:  # a full disk takes a part first; what is left is no longer aligned
                self._through_cache()

    def _through_cache(self) -> None:
        fcntl.fcntl(self._handle, fcntl.F_SETFL, fcntl.fcntl(self._handle, fcntl.F_GETFL) & ~_DIRECT)


def _opened(path: Path) -> int:
    """A handle of a new file, without the page cache where the file system can do that; one in memory may not."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    try:
        return os.open(path, flags | _DIRECT, 0o666)
    except OSError:  # what else may be wrong with the path is wrong with it again
        return os.open(path, flags, 0o666)


class _Files(FileSystem):
    """``written``: name -> [size in bytes, CRC-32] of what was written so far."""

    def __init__(self) -> None:
        self.written: dict[str, list[int]] = {}

    @contextmanager
    def create_stream(self, path: str | os.PathLike, mode: str) -> Generator[io.IOBase, None, None]:
        assert mode == "wb", "the writer reads nothing"
        with DirectFile(_opened(Path(path))) as stream:
            yield stream
        self.written[Path(path).name] = [stream.size, stream.checksum]

    def rename(self, path: str | os.PathLike, new_path: str | os.PathLike) -> None:
        super().rename(path, new_path)
        self.written[Path(new_path).name] = self.written.pop(Path(path).name)


class DirectWriter(FileSystemWriter):
    """torch's writer of checkpoints, whose files and format it keeps; ``written`` says what they are."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, sync_files=False)  # a file is on disk when it is closed
        self.fs = self._files = _Files()

    @property
    def written(self) -> dict[str, list[int]]:
        """Name -> size in bytes and CRC-32 of each file of this rank."""
        return self._files.written
