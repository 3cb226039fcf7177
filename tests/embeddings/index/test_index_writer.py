"""The writer of a live index: what it refuses, what it leaves on disk, and what outlives a full disk."""

import errno
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.index import index_writer
from embeddings.index.create_index import create_index
from embeddings.index.index_writer import IndexWriter
from embeddings.index.live_index import LiveIndex
from embeddings.index.segments import SEGMENT_ROWS
from tests.conftest import ROOT
from tests.embeddings.index.indexes import WIDTH, same, small_index, vectors_of

IDS = np.arange(-3, 5)


@pytest.fixture
def writer(tmp_path):
    with small_index(tmp_path / "index") as writer:
        writer.put(IDS, vectors_of(IDS))
        yield writer


@pytest.mark.parametrize(
    ("ids", "vectors", "message"),
    [
        (IDS, np.ones((8, WIDTH + 1)), "have width 5, but those of encoder 'a-1'"),
        (IDS, np.ones((7, WIDTH)), "8 ids but 7 vectors"),
        (IDS, np.zeros((8, WIDTH)), "the vector of id -3 is zero"),
        (IDS, np.full((8, WIDTH), np.nan), "the vector of id -3 is not finite"),
        (IDS, np.full((8, WIDTH), np.inf), "the vector of id -3 is not finite"),
        (IDS.astype(float), np.ones((8, WIDTH)), "ids are float64"),
        (IDS, np.ones((8, WIDTH), np.int64), "vectors are int64"),
        (IDS[:0], np.ones((0, WIDTH)), "nothing to store"),
        (np.array([2**63], np.uint64), np.ones((1, WIDTH)), "does not fit int64"),
    ],
)
def test_what_is_no_vector_is_refused_and_nothing_is_put(writer, ids, vectors, message):
    with pytest.raises(InputError, match=message):
        writer.put(ids, vectors)
    with LiveIndex(writer.path) as index:
        assert same(index, IDS, vectors_of(IDS)) and index.sequence == 1


def test_another_encoder_is_refused(writer):
    with pytest.raises(InputError, match="no vectors of encoder 'b'; it has those of 'a-1'"):
        writer.put(IDS, vectors_of(IDS), "b")
    with pytest.raises(InputError, match="no vectors of encoder 'b'"):
        writer.delete(IDS, "b")
    with pytest.raises(InputError, match="has vectors of encoder 'a-1' already"):
        writer.add_encoder("a-1", WIDTH, "float32")
    with pytest.raises(InputError, match="active one; activate another first"):
        writer.drop("a-1")


def test_the_last_of_ids_that_repeat_counts(writer):
    writer.put(np.array([7, 8, 7]), vectors_of([1, 2, 3]))
    with LiveIndex(writer.path) as index:
        assert same(index, [7, 8], vectors_of([3, 2])) and index.count == len(IDS) + 2


def test_ids_to_delete_must_be_int64(writer):
    with pytest.raises(InputError, match="ids are float64"):
        writer.delete(np.array([1.5]))
    assert writer.delete(np.array([100])) == 0


def test_a_second_writer_is_refused(writer):
    with pytest.raises(InputError, match="is being written by this process"):
        IndexWriter(writer.path)
    script = f"from embeddings.index.index_writer import IndexWriter; IndexWriter({writer.path!r})"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert (
        "InputError" in done.stderr and "is being written by" in done.stderr and f"process {os.getpid()}" in done.stderr
    )


def test_a_second_writer_may_write_once_the_first_has_closed(writer):
    writer.close()
    with IndexWriter(writer.path) as again:
        assert again.put(IDS, vectors_of(IDS, 1)) == 2


def test_threads_that_put_at_once_share_commits(writer, monkeypatch):
    commits, real = [], index_writer.commit
    monkeypatch.setattr(index_writer, "commit", lambda *a: (commits.append(len(a[3])), real(*a)))
    start = threading.Barrier(8)

    def put(number: int) -> None:
        start.wait()
        for i in range(10):
            item = np.array([1000 * number + i])
            writer.put(item, vectors_of(item))

    threads = [threading.Thread(target=put, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(commits) == 80 and len(commits) < 80
    with LiveIndex(writer.path) as index:
        ids = np.array([1000 * n + i for n in range(8) for i in range(10)])
        assert same(index, ids, vectors_of(ids))


def test_one_of_several_changes_that_cannot_be_written_fails_them_all(writer, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(InputError, match=r"cannot be written.*No space left.*acknowledged stays"):
            writer.put(np.array([50]), vectors_of([50]))
    assert writer.put(np.array([51]), vectors_of([51])) == 2
    with LiveIndex(writer.path) as index:
        assert same(index, [*IDS, 51], vectors_of([*IDS, 51])) and index.rows(np.array([50]))[0] == -1


def test_a_file_size_limit_is_an_error_and_what_is_there_stays(tmp_path):
    """In a process of its own: the limit holds for its life. Segments and keys meet it in turn."""
    script = f"""
import resource, numpy as np
from embeddings.errors import InputError
from embeddings.index.create_index import create_index
from embeddings.index.live_index import LiveIndex
from tests.embeddings.index.indexes import vectors_of, same
writer = create_index({str(tmp_path / "index")!r}, "a", 4, "float32")
writer.put(np.arange(100), vectors_of(np.arange(100)))
resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, resource.RLIM_INFINITY))
put, refused = 100, None
while refused is None and put < 10**6:
    ids = np.arange(put, put + 5000)
    try:
        writer.put(ids, vectors_of(ids))
        put += 5000
    except InputError as error:
        refused = error
print(refused)
with LiveIndex(writer.path) as index:
    assert same(index, np.arange(put), vectors_of(np.arange(put)))
    assert index.count == put and (index.rows(ids) == -1).all()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer.put(ids, vectors_of(ids))
with LiveIndex(writer.path) as index:
    assert same(index, np.arange(put + 5000), vectors_of(np.arange(put + 5000)))
print("went on", put)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "live index" in done.stdout and "went on" in done.stdout


def test_segments_that_a_killed_writer_left_are_removed(writer):
    left = os.path.join(writer.path, "vectors-1", "00000007.vectors")
    with open(left, "wb") as out:
        out.write(b"half")
    writer.close()
    with IndexWriter(writer.path):
        assert os.listdir(os.path.dirname(left)) == ["00000000.vectors"]


def test_compaction_gives_disk_back_and_loses_nothing(writer):
    ids = np.arange(SEGMENT_ROWS)
    for seed in range(3):
        writer.put(ids, vectors_of(ids, seed))
    writer.delete(ids[:1000])
    folder = os.path.join(writer.path, "vectors-1")
    assert len(os.listdir(folder)) == 4
    assert writer.compact(dead_share=0.5) == 2, "of the first two segments next to nothing is left"
    with LiveIndex(writer.path) as index:
        assert same(index, ids[1000:], vectors_of(ids[1000:], 2)) and index.count == SEGMENT_ROWS - 1000 + 3
    assert len(os.listdir(folder)) == 2
    assert writer.compact() == 1 and writer.compact() == 0
    assert len(os.listdir(folder)) == 1


def test_compaction_beside_puts_keeps_the_newest(writer, monkeypatch):
    monkeypatch.setattr(index_writer, "MOVED_AT_ONCE", 50)
    ids = np.arange(2000)
    writer.put(ids, vectors_of(ids))
    writer.put(ids[::2], vectors_of(ids[::2], 1))
    done = threading.Event()
    newest = {}

    def put() -> None:
        rng = np.random.default_rng(0)
        while not done.is_set():
            some, seed = np.unique(rng.integers(0, 2000, 40)), int(rng.integers(2, 99))
            writer.put(some, vectors_of(some, seed))
            newest.update(dict.fromkeys(some.tolist(), seed))

    thread = threading.Thread(target=put)
    thread.start()
    try:
        for _ in range(3):
            writer.compact()
    finally:
        done.set()
        thread.join()
    with LiveIndex(writer.path) as index:
        assert index.count == 2000 + 3
        for item in ids.tolist():
            seed = newest.get(item, 1 if item % 2 == 0 else 0)
            assert same(index, [item], vectors_of([item], seed)), item


def test_compaction_refuses_a_damaged_row(writer):
    writer.delete(IDS[:1])
    with open(os.path.join(writer.path, "vectors-1", "00000000.vectors"), "r+b") as out:
        out.seek(4 * WIDTH * 4)
        out.write(b"\x01")
    with pytest.raises(InputError, match="the vector of id 1 is damaged"):
        writer.compact()


def test_an_index_is_not_made_over_something_else(tmp_path, writer):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    with pytest.raises(InputError, match="exists and is no live index"):
        create_index(str(tmp_path / "folder"), "a", 4)
    for width, dtype, encoder in ((0, "float32", "a"), (4, "float8", "a"), (4, "float32", "")):
        with pytest.raises(InputError):
            create_index(str(tmp_path / "new"), encoder, width, dtype)
    assert not (tmp_path / "new").exists()
