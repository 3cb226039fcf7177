"""Writing a frozen store: bad input is named, an interrupted build leaves nothing, memory stays small."""

import errno
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.files import folder_lock
from embeddings.frozen import store_writer as writer
from embeddings.frozen.check_store import verify
from embeddings.frozen.store import FrozenStore, build_store
from tests.embeddings.files.held_folder import held_elsewhere
from tests.embeddings.frozen.stores import IDS, random_vectors


@pytest.mark.parametrize(
    ("ids", "vectors", "message"),
    [
        ([1, 2, 1, 2, 3], random_vectors(), r"id 1 repeats \(2 repeats in all\)"),
        ([1, 2], random_vectors(), "2 ids but 5 vectors"),
        ([1.0, 2.0], random_vectors(2), r"ids are float64 \[2\]; allowed: integers"),
        ([[1], [2]], random_vectors(2), r"ids are int64 \[2, 1\]"),
        ([1, 2], np.ones(2), r"vectors are float64 \[2\]; allowed: float or int8 \[N, M\]"),
        ([1, 2], np.ones((2, 3), np.int32), "vectors are int32"),
        (np.empty(0, np.int64), np.empty((0, 3)), "nothing to store"),
        ([1, 2], np.empty((2, 0)), "nothing to store"),
        (np.array([1, 2**63], np.uint64), random_vectors(2), "id 9223372036854775808 does not fit int64"),
        ([3, 9], np.array([[1.0, 2.0], [0.0, 0.0]]), "vector of id 9 is zero"),
        ([9, 3], np.array([[1.0, np.nan], [1.0, 0.0]]), "vector of id 9 is not finite"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(tmp_path: Path, ids, vectors: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_store(str(tmp_path / "s"), np.asarray(ids), vectors)
    assert os.listdir(tmp_path) == []


def test_unknown_dtype(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="dtype 'float64' of a frozen store; allowed: float32, float16, int8"):
        build_store(str(tmp_path / "s"), IDS, random_vectors(), dtype="float64")


def test_an_existing_store_is_kept_unless_told(built: str) -> None:
    before = FrozenStore.open(built).checksum
    with pytest.raises(InputError, match="exists; pass --overwrite"):
        build_store(built, IDS, -random_vectors())
    assert FrozenStore.open(built).checksum == before
    open_already = FrozenStore.open(built)
    assert build_store(built, IDS[:2], random_vectors(2), overwrite=True).count == 2
    assert open_already.vectors.shape == (5, 6) and open_already.vectors.any()  # its files live on until it closes
    assert os.listdir(Path(built).parent) == ["store"]


def test_a_folder_that_is_no_store_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("!")
    with pytest.raises(InputError, match="is no frozen store, so it is not replaced"):
        build_store(str(tmp_path / "precious"), IDS, random_vectors(), overwrite=True)
    (tmp_path / "empty").mkdir()
    assert build_store(str(tmp_path / "empty"), IDS, random_vectors()).count == 5


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("failure", "raised", "message"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (OSError(errno.ENOSPC, "No space left on device"), InputError, "cannot write .*No space left.* free space"),
    ],
)
def test_an_interrupted_build_leaves_what_was_there(
    tmp_path: Path, overwrite: bool, failure: BaseException, raised: type, message: str | None, monkeypatch
) -> None:
    path = str(tmp_path / "s")
    before = build_store(path, IDS, random_vectors()).checksum if overwrite else None
    monkeypatch.setattr(writer, "BLOCK_BYTES", 1)
    blocks = iter(range(3))

    def failing(*arguments):
        if next(blocks, None) is None:
            raise failure
        return encoded(*arguments)

    encoded = writer.encoded
    monkeypatch.setattr(writer, "encoded", failing)
    with pytest.raises(raised, match=message):
        build_store(path, IDS, -random_vectors(), overwrite=overwrite)
    assert os.listdir(tmp_path) == (["s"] if overwrite else [])
    if overwrite:
        assert FrozenStore.open(path).checksum == before


def test_a_killed_build_leaves_no_store_and_does_not_stop_the_next(tmp_path: Path) -> None:
    path = tmp_path / "s"
    left = tmp_path / f".s.{socket.gethostname()}.{os.getpid()}-{threading.get_native_id()}"
    left.mkdir()
    (left / "ids.npy").write_text("left over")
    with pytest.raises(InputError, match="no such folder"):
        FrozenStore.open(str(path))
    verify(build_store(str(path), IDS, random_vectors()))
    assert os.listdir(tmp_path) == ["s"]


def test_a_mapped_source_is_not_read_whole(tmp_path: Path) -> None:
    """64 MiB of vectors pass through while the process's own memory grows by far less."""
    code = f"""
import numpy as np, resource
from embeddings.frozen import store_writer as writer
from embeddings.frozen.store import build_store
writer.BLOCK_BYTES = 1 << 20
count = 1 << 17
np.lib.format.open_memmap({str(tmp_path / "v.npy")!r}, "w+", "float32", (count, 128))[:] = 1
vectors = np.load({str(tmp_path / "v.npy")!r}, mmap_mode="r")
ids = np.arange(count)[::-1]
def anonymous():
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("RssAnon")) >> 10
before, peak, encoded = anonymous(), 0, writer.encoded
def watched(*arguments):
    global peak
    result = encoded(*arguments)
    peak = max(peak, anonymous())
    return result
writer.encoded = watched
build_store({str(tmp_path / "s")!r}, ids, vectors, dtype="float16")
print(peak - before)
"""
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc to see the process's own memory")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 20, f"grew by {done.stdout} MiB"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_store_that_somebody_else_builds_is_refused(tmp_path: Path, overwrite: bool) -> None:
    with held_elsewhere(tmp_path / "s"), pytest.raises(InputError, match=r"frozen store '.*s' is being written by"):
        build_store(str(tmp_path / "s"), IDS, random_vectors(), overwrite=overwrite)
    build_store(str(tmp_path / "s"), IDS, random_vectors(), overwrite=overwrite)
    assert os.listdir(tmp_path) == ["s"]


def test_a_store_that_came_while_the_lock_was_waited_for_is_seen(tmp_path: Path, monkeypatch) -> None:
    acquired = folder_lock._acquired

    def after_another(*arguments):
        with monkeypatch.context() as patch:
            patch.setattr(folder_lock, "_acquired", acquired)
            build_store(str(tmp_path / "s"), IDS, random_vectors())
        return acquired(*arguments)

    monkeypatch.setattr(folder_lock, "_acquired", after_another)
    with pytest.raises(InputError, match=r"frozen store '.*s' exists"):
        build_store(str(tmp_path / "s"), IDS, random_vectors())
