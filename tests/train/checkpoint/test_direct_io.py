"""Files written past the page cache: what is read back, its checksum, a disk that takes a part, memory used again."""

import os
import zlib
from pathlib import Path

import numpy as np
import pytest

from train.checkpoint.direct_io import _BLOCK, _Files

PLACES = [None, *([Path("/dev/shm")] if Path("/dev/shm").is_dir() else [])]  # a disk, and memory, which may not know it


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "parts", [[], [0], [1], [_BLOCK], [_BLOCK - 1, 0, 2], [3 * _BLOCK + 7, 5], [7, 2 * _BLOCK, 1 << 12]]
)
def test_what_is_written_is_there(tmp_path, place, parts):
    path = (place or tmp_path) / f"tierwise-test-{os.getpid()}"
    chunks = [np.random.default_rng(n).integers(0, 256, n, np.uint8).tobytes() for n in parts]
    files = _Files()
    try:
        with files.create_stream(path, "wb") as stream:
            for chunk, before in zip(chunks, np.cumsum([0, *parts]), strict=False):
                assert stream.tell() == before and stream.write(chunk) == len(chunk)
        whole = b"".join(chunks)
        assert path.read_bytes() == whole
        assert files.written == {path.name: [len(whole), zlib.crc32(whole)]}
        files.rename(path, path.with_suffix(".named"))
        assert files.written == {f"{path.name}.named": [len(whole), zlib.crc32(whole)]}
    finally:
        path.unlink(missing_ok=True), path.with_suffix(".named").unlink(missing_ok=True)


def test_a_disk_that_takes_a_part(tmp_path, monkeypatch):
    path, write = tmp_path / "part", os.write

    def part(handle: int, data: memoryview) -> int:
        monkeypatch.setattr(os, "write", write)
        path.write_bytes(data[:1000])
        return os.lseek(handle, 1000, os.SEEK_SET)

    monkeypatch.setattr(os, "write", part)
    whole = np.random.default_rng(0).integers(0, 256, 2 * _BLOCK + 9, np.uint8).tobytes()
    with _Files().create_stream(path, "wb") as stream:
        stream.write(whole)
    assert path.read_bytes() == whole


def test_a_file_that_cannot_be_made(tmp_path):
    with pytest.raises(FileNotFoundError), _Files().create_stream(tmp_path / "no" / "file", "wb"):
        pass
