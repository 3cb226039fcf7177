"""Direct I/O (O_DIRECT): checkpoint files written past the page cache, with a CRC-32 of what was written."""

import fcntl
import mmap
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

_BLOCK = 1 << 20  # stays in the second cache, where the checksum finds it
_DIRECT = getattr(os, "O_DIRECT", 0)


@contextmanager
def direct_file(path: Path) -> Iterator["DirectFile"]:
    """A new file to write from beginning to end. It is on disk where the block ends well. Raises OSError."""
    handle = _opened(path)
    try:
        file = DirectFile(handle)
        yield file
        file.finish()
    except BaseException:  # what it raised says what is wrong, and not what closing says then
        with suppress(OSError):
            os.close(handle)
        raise
    os.close(handle)


class DirectFile:
    """What is written, collected in an aligned buffer. ``size`` in bytes and ``checksum``, once it is whole.

    Args:
        handle: of the file, just opened.
    """

    def __init__(self, handle: int) -> None:
        self.size, self.checksum = 0, 0
        self._handle = handle
        self._pages = mmap.mmap(-1, _BLOCK)
        self._buffer, self._filled = np.frombuffer(self._pages, np.uint8), 0

    def write(self, data: bytes | np.ndarray) -> None:
        """Add ``data``, contiguous. Raises OSError."""
        source, done = np.frombuffer(data, np.uint8), 0
        while done < source.size:
            part = source[done : done + _BLOCK - self._filled]
            self._buffer[self._filled : self._filled + part.size] = part  # other threads run meanwhile
            self._filled, done = self._filled + part.size, done + part.size
            if self._filled == _BLOCK:
                self._drain()
        self.size += done

    def finish(self) -> None:
        """Have all of it on disk. Raises OSError."""
        self._through_cache()  # the last bytes fill no block
        self._drain()
        os.fsync(self._handle)

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
