"""Files written past the page cache: what is read back, its checksum, a disk that takes a part or nothing more."""

import errno
import os
import resource
import zlib
from pathlib import Path

import numpy as np
import pytest

from train.checkpoint.direct_io import _BLOCK, direct_file

PLACES = [None, *([Path("/dev/shm")] if Path("/dev/shm").is_dir() else [])]  # a disk, and memory, which may not know it


def random_bytes(count: int) -> bytes:
    return np.random.default_rng(count).integers(0, 256, count, np.uint8).tobytes()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "parts", [[], [0], [1], [_BLOCK], [_BLOCK - 1, 0, 2], [3 * _BLOCK + 7, 5], [7, 2 * _BLOCK, 1 << 12]]
)
def test_what_is_written_is_there(tmp_path, place, parts):
    path = (place or tmp_path) / f"tierwise-test-{os.getpid()}"
    chunks = [random_bytes(n) for n in parts]
    try:
        with direct_file(path) as file:
            for chunk in chunks:
                file.write(chunk)
        whole = b"".join(chunks)
        assert path.read_bytes() == whole
        assert (file.size, file.checksum) == (len(whole), zlib.crc32(whole))
    finally:
        path.unlink(missing_ok=True)


def test_a_disk_that_takes_a_part(tmp_path, monkeypatch):
    path, write = tmp_path / "part", os.write

    def part(handle: int, data: memoryview) -> int:
        monkeypatch.setattr(os, "write", write)
        path.write_bytes(data[:1000])
        return os.lseek(handle, 1000, os.SEEK_SET)

    monkeypatch.setattr(os, "write", part)
    whole = random_bytes(2 * _BLOCK + 9)
    with direct_file(path) as file:
        file.write(whole)
    assert path.read_bytes() == whole


def test_a_file_that_cannot_be_made(tmp_path):
    with pytest.raises(FileNotFoundError), direct_file(tmp_path / "no" / "file"):
        pass


@pytest.mark.parametrize("room", [0, 1000, _BLOCK, 2 * _BLOCK + 5, 4 * _BLOCK + 8])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG])
def test_the_first_error_is_the_one_that_is_told(tmp_path, monkeypatch, room, number):
    """The disk takes ``room`` bytes, in whatever parts; what closing says of a broken disk is another thing."""
    left, close, closed = room, os.close, []

    def limited(handle: int, data: memoryview) -> int:
        nonlocal left
        if not left:
            raise OSError(number, os.strerror(number))
        left -= (taken := min(left, len(data)))
        return taken

    def broken_close(handle: int) -> None:
        close(handle)
        closed.append(handle)
        raise OSError(errno.ESTALE, "closing")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", limited)
        patch.setattr(os, "close", broken_close)
        with pytest.raises(OSError) as error, direct_file(tmp_path / "a") as file:
            file.write(random_bytes(2 * _BLOCK))
            file.write(random_bytes(2 * _BLOCK + 9))
    assert error.value.errno == number and len(closed) == 1


@pytest.mark.parametrize("call", ["fsync", "close"])
def test_what_is_refused_at_the_end_is_told(tmp_path, monkeypatch, call):
    whole = getattr(os, call)

    def fails(handle: int) -> None:
        whole(handle)
        raise OSError(errno.EDQUOT, "at the end")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fails)
        with pytest.raises(OSError, match="at the end"), direct_file(tmp_path / "a") as file:
            file.write(b"x")


def test_a_limit_of_the_size_of_files(tmp_path):
    """Of the shell, ulimit -f; Python ignores the signal that comes with it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_BLOCK + 4096, before[1]))
    try:
        with pytest.raises(OSError) as error, direct_file(tmp_path / "a") as file:
            file.write(random_bytes(3 * _BLOCK))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert error.value.errno == errno.EFBIG
