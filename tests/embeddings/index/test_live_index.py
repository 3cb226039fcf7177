"""A live index as readers see it: at once, from other processes, in place of a frozen store."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from embeddings.errors import InputError
from embeddings.frozen.frozen_rows import FrozenRows
from embeddings.frozen.row_wise_table import RowWiseTable
from embeddings.frozen.store import build_store
from embeddings.frozen.table import FrozenTable
from embeddings.index import commit, live_index
from embeddings.index.index_writer import IndexWriter
from embeddings.index.live_index import LiveIndex
from embeddings.index.segments import SEGMENT_ROWS
from tests.conftest import ROOT
from tests.embeddings.index.indexes import WIDTH, same, small_index, vectors_of

IDS = np.array([5, -3, 2**63 - 1, -(2**63), 0])


@pytest.fixture
def writer(tmp_path):
    with small_index(tmp_path / "index") as writer:
        yield writer


def test_a_put_is_seen_by_the_next_look_up(writer):
    with LiveIndex(writer.path) as index:
        assert (index.rows(IDS) == -1).all() and index.count == 0
        assert writer.put(IDS, 7 * vectors_of(IDS)) == 1
        assert same(index, IDS, vectors_of(IDS)) and index.count == 5 and index.sequence == 1
        assert index.rows(np.array([[1, 5]])).tolist() == [[-1, index.rows(IDS)[0]]]
        assert (index.encoder, index.width, index.dtype, index.live) == ("a-1", WIDTH, "float32", True)
        assert index.nbytes == 5 * WIDTH * 4


def test_an_update_is_a_new_row_and_the_old_one_stays(writer):
    writer.put(IDS, vectors_of(IDS))
    with LiveIndex(writer.path) as index:
        before = index.rows(IDS)
        writer.put(IDS[:2], vectors_of(IDS[:2], seed=1))
        after = index.rows(IDS)
        assert (after[:2] != before[:2]).all() and (after[2:] == before[2:]).all() and index.count == 5
        assert same(index, IDS[:2], vectors_of(IDS[:2], seed=1))
        assert np.allclose(index.vectors[before], vectors_of(IDS), atol=1e-6)


def test_a_deleted_id_has_no_row(writer):
    writer.put(IDS, vectors_of(IDS))
    with LiveIndex(writer.path) as index:
        assert writer.delete(np.array([5, 99, 5])) == 1
        assert index.rows(IDS)[0] == -1 and index.count == 4
        writer.put(IDS[:1], vectors_of(IDS[:1], seed=2))
        assert same(index, IDS[:1], vectors_of(IDS[:1], seed=2)) and index.count == 5


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_rows_are_those_of_a_frozen_store(tmp_path, dtype):
    ids = np.arange(100)
    vectors = np.random.default_rng(0).normal(size=(100, WIDTH)).astype(np.float32)
    store = build_store(str(tmp_path / "store"), ids, vectors, dtype=dtype, encoder="a-1")
    with small_index(tmp_path / "index", dtype) as writer, LiveIndex(writer.path) as index:
        writer.put(ids[::-1], vectors[::-1])
        rows = index.rows(ids)
        assert index.vectors.dtype == store.vectors.dtype and (index.vectors[rows] == store.vectors).all()
        assert (index.scale is None) == (store.scale is None)
        if index.scale is not None:
            assert (index.scale[rows] == store.scale).all()
        parameters = [torch.randn(shape) for shape in ((8, 4 * WIDTH), (8,), (8,), (8,))]
        history, target, offsets = ids[:60].reshape(-1), ids[60:63], torch.tensor([0, 20, 20, 60])
        results = []
        for vectors_from in (index, store):
            rows = [torch.from_numpy(vectors_from.rows(part)) for part in (target, history)]
            table, of = FrozenTable(vectors_from), FrozenRows(rows[0], rows[1], offsets)
            results.append([table.tier_counts(of, 10), table.attention(of, *parameters), table.targets(of)])
        for ours, theirs in zip(*results, strict=True):
            assert torch.equal(ours, theirs)


def test_a_missing_vector_reads_as_zeros(writer):
    writer.put(IDS, vectors_of(IDS))
    with LiveIndex(writer.path) as index:
        assert (FrozenTable(index).gather(torch.tensor([-1])) == 0).all()


def test_another_process_sees_what_is_put_while_it_runs(writer):
    script = f"""
import sys, numpy as np
from embeddings.index.live_index import LiveIndex
index = LiveIndex({writer.path!r})
for line in sys.stdin:
    row = index.rows(np.array([int(line)]))[0]
    print(row >= 0 and index.vectors[row].tolist(), flush=True)
"""
    reader = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def answer(item: int) -> str:
        reader.stdin.write(f"{item}\n")
        reader.stdin.flush()
        return reader.stdout.readline().strip()

    try:
        for item in range(20):
            assert answer(item) == "False"
            writer.put(np.array([item]), vectors_of([item]))
            assert np.allclose(eval(answer(item)), vectors_of([item])[0], atol=1e-6)
    finally:
        reader.communicate(timeout=30)
    assert reader.returncode == 0


def test_rows_go_on_over_segments(writer):
    ids = np.arange(SEGMENT_ROWS - 10)
    with LiveIndex(writer.path) as index:
        writer.put(ids, vectors_of(ids))
        more = np.arange(10**6, 10**6 + 30)
        writer.put(more, vectors_of(more))
        assert same(index, more, vectors_of(more)) and same(index, ids, vectors_of(ids))
    with LiveIndex(writer.path) as index:
        assert same(index, more, vectors_of(more)) and same(index, ids, vectors_of(ids))


def test_a_reader_that_is_far_behind_reads_all_ids(writer, monkeypatch):
    monkeypatch.setattr(commit, "LOGGED", 6)
    with LiveIndex(writer.path) as index:
        for seed in range(5):
            writer.put(IDS[seed:], vectors_of(IDS[seed:], seed))
        writer.delete(IDS[4:])
        assert index.rows(IDS)[4] == -1 and index.count == 4
        for seed in range(4):
            assert same(index, IDS[seed : seed + 1], vectors_of(IDS[seed : seed + 1], seed))


def test_compaction_leaves_old_rows_readable_for_a_while(writer, monkeypatch):
    monkeypatch.setattr(live_index, "KEPT_LOOKUPS", 5)
    writer.put(IDS, vectors_of(IDS))
    with LiveIndex(writer.path) as index:
        before = index.rows(IDS)
        writer.put(IDS, vectors_of(IDS, seed=1))
        old = index.vectors[before].copy()
        assert writer.compact() == 1
        for _ in range(6):
            assert (index.vectors[before] == old).all()
            assert same(index, IDS, vectors_of(IDS, seed=1))
        index.rows(IDS)
        assert (index.vectors[before] == 0).all(), "the files of old segments are let go"
        assert same(index, IDS, vectors_of(IDS, seed=1))
        slots = set()
        for seed in range(30):
            writer.put(IDS, vectors_of(IDS, seed))
            writer.compact()
            assert same(index, IDS, vectors_of(IDS, seed))
            slots.add(int(index.rows(IDS)[0]) // SEGMENT_ROWS)
        assert len(slots) < 10, "slots are used again"


def test_a_reader_that_comes_late_skips_segments_that_are_gone(writer):
    writer.put(IDS, vectors_of(IDS))
    with LiveIndex(writer.path) as index:
        more = np.arange(10, 20)
        writer.put(more, vectors_of(more))
        for seed in range(3):
            writer.put(more, vectors_of(more, seed))
            writer.compact()
        assert same(index, more, vectors_of(more, 2)) and same(index, IDS, vectors_of(IDS))


def test_an_encoder_of_another_name_is_refused(writer):
    with pytest.raises(InputError, match=r"no vectors of encoder 'a-2'; did you mean 'a-1'.*do not mix"):
        LiveIndex(writer.path, "a-2")


def test_two_encoders_lie_beside_each_other(writer):
    writer.put(IDS, vectors_of(IDS))
    writer.add_encoder("b", 2, "float16")
    writer.put(IDS[:2], np.eye(2), "b")
    with LiveIndex(writer.path) as before, LiveIndex(writer.path, "b") as other:
        assert before.encoder == "a-1" and (before.rows(IDS) >= 0).all() and before.checksum != other.checksum
        assert (other.rows(IDS) >= 0).tolist() == [True, True, False, False, False]
        assert (other.vectors[other.rows(IDS[:2])] == np.eye(2)).all()
        writer.activate("b")
        with LiveIndex(writer.path) as after:
            assert after.encoder == "b"
        assert same(before, IDS, vectors_of(IDS)), "who has opened an encoder stays with it"


def test_a_reader_of_a_dropped_encoder_goes_on_with_what_it_has(writer, capsys):
    writer.put(IDS, vectors_of(IDS))
    with LiveIndex(writer.path) as index:
        index.rows(IDS)
        writer.add_encoder("b", WIDTH, "float32")
        writer.activate("b")
        writer.drop("a-1")
        assert same(index, IDS, vectors_of(IDS)) and same(index, IDS, vectors_of(IDS))
        assert capsys.readouterr().err.count("were dropped") == 1
        writer.add_encoder("a-1", WIDTH, "float32")
        assert same(index, IDS, vectors_of(IDS)), "an encoder that is begun anew is another"


def test_a_table_that_would_be_copied_is_refused(writer):
    with LiveIndex(writer.path) as index:
        with pytest.raises(InputError, match="placement replicated on cpu would copy"):
            FrozenTable(index, "cpu", "replicated")
        with pytest.raises(InputError, match="placement row_wise on cpu would copy"):
            RowWiseTable(index, None, room=1)


def test_a_reader_closed_while_the_writer_goes_on(writer):
    for seed in range(3):
        with LiveIndex(writer.path) as index, LiveIndex(writer.path) as another:
            writer.put(IDS, vectors_of(IDS, seed))
            assert same(index, IDS, vectors_of(IDS, seed)) and same(another, IDS, vectors_of(IDS, seed))
    writer.close()
    with IndexWriter(writer.path) as again:
        again.put(IDS, vectors_of(IDS, 9))
    with LiveIndex(writer.path) as index:
        assert same(index, IDS, vectors_of(IDS, 9))
