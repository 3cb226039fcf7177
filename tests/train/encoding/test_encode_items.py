"""Encoding items: the right vectors, whoever encodes them and however often it is killed."""

import signal
import time

import numpy as np
import pytest

from embeddings.frozen.check_store import verify
from embeddings.frozen.store import FrozenStore
from tests.embeddings.files.held_folder import held_elsewhere
from tests.recsys.datasets.folders import digests
from tests.train.encoding.shelf import encode, pixels, png, write_items
from tests.train.launch import cli, finished, one_line, start, start_bare_ranks
from train.encoding import encode_items as work
from train.encoding import item_files as items_module
from train.encoding.encode_items import consecutive
from train.encoding.open_encoder import RawContentEncoder

COUNT = 700  # three parts


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Items 0, 3, 6 ...; 30 is broken, 33 null, and 60, 63, 66 have one picture."""
    contents = [png(p) for p in pixels(COUNT)]
    contents[10], contents[11] = contents[10][:40], None
    contents[21] = contents[22] = contents[20]
    return write_items(tmp_path_factory.mktemp("shelf") / "items", range(0, 3 * COUNT, 3), contents, files=2)


def raw_vectors(kept) -> np.ndarray:
    """The means of 2 x 2 pixels, minus the sample's mean, at norm 1: what raw-pixels is."""
    small = pixels(COUNT).reshape(COUNT, 8, 2, 8, 2, 3).mean(axis=(2, 4)).round().reshape(COUNT, -1) / 255
    small[[21, 22]] = small[20]
    small = small[kept] - small[kept].mean(axis=0)  # the sample is all of them
    return small / np.linalg.norm(small, axis=1, keepdims=True)


def test_vectors_are_right_and_what_has_none_is_said(shelf, tmp_path):
    done = cli("encode", *encode(shelf, tmp_path / "store", "--dtype", "float32"))
    assert done.status == 0, done.err
    store = FrozenStore.open(str(tmp_path / "store"))
    verify(store)
    kept = [n for n in range(COUNT) if n not in (10, 11)]
    assert store.ids.tolist() == [3 * n for n in kept]
    np.testing.assert_allclose(store.vectors, raw_vectors(kept), atol=0.02)
    lines = done.out.splitlines()
    assert lines[0] == "items       700; 698 encoded, 2 left out"
    assert lines[1].strip().startswith("item 30: ") and lines[2].strip() == "item 33: it is null"
    assert lines[3].startswith("norms ") and lines[3].endswith("before they are made 1")
    assert lines[4] == "duplicates  3 items have a vector that another has too; 3 share that of item 60"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["store"]


def broken_encoder(monkeypatch, broken):
    """raw-pixels, whose vector of the items in ``broken``, by their place in a batch, is not finite."""
    real = RawContentEncoder.__init__

    def init(self, name):
        real(self, name)
        vectors = self.vectors

        def some_broken(decoded):
            result = np.array(vectors(decoded))
            result[broken, 1] = np.nan
            return result

        self.vectors = some_broken

    monkeypatch.setattr(RawContentEncoder, "__init__", init)


def test_a_vector_that_is_not_finite_is_left_out_and_said(shelf, tmp_path, monkeypatch):
    broken_encoder(monkeypatch, [3])
    done = cli("encode", *encode(shelf, tmp_path / "store", "--batch-size", "700"))
    assert done.status == 0, done.err
    assert "695 encoded, 5 left out" in done.out and "item 9: its vector is not finite" in done.out
    verify(FrozenStore.open(str(tmp_path / "store")))


def test_an_encoder_that_gives_no_finite_vector_is_refused_at_once(shelf, tmp_path, monkeypatch):
    broken_encoder(monkeypatch, slice(None))
    done = cli("encode", *encode(shelf, tmp_path / "store"))
    one_line(
        done, "the encoder gives no vector that is finite: none of 254 items from item 0 on; its weights are broken"
    )
    assert not (tmp_path / "store").exists()


def test_int8_is_the_default_and_loses_little(shelf, tmp_path):
    assert cli("encode", *encode(shelf, tmp_path / "store")).status == 0
    store = FrozenStore.open(str(tmp_path / "store"))
    assert (store.dtype, store.encoder) == ("int8", "raw-pixels")
    kept = [n for n in range(COUNT) if n not in (10, 11)]
    assert ((store.vectors * store.scale[:, None]) * raw_vectors(kept)).sum(axis=1).min() > 0.99


def test_a_kill_costs_only_the_part_under_way(shelf, tmp_path, monkeypatch):
    assert cli("encode", *encode(shelf, tmp_path / "whole")).status == 0
    real, calls = work.decoded_batches, []

    def killed(items, runs, *rest):
        for batch in real(items, runs, *rest):
            calls.append(batch.part)
            if len(calls) == 7:
                raise KeyboardInterrupt
            yield batch

    monkeypatch.setattr(work, "decoded_batches", killed)
    command = encode(shelf, tmp_path / "store", "--batch-size", "100")
    assert cli("encode", *command).status == 130
    assert not (tmp_path / "store").exists()
    assert calls == [0, 0, 0, 1, 1, 1, 2]
    one_line(cli("encode", *command[:-1], "50"), "holds parts of another encoding (other: batch)", "--overwrite")
    again = cli("encode", *command)
    assert again.status == 0 and "going on: 2 of 3 parts are there" in again.out
    assert calls[7:] == [2, 2]
    whole, fixed = digests(tmp_path / "whole"), digests(tmp_path / "store")
    assert whole["ids.npy"] == fixed["ids.npy"] and len(list(tmp_path.iterdir())) == 2


def test_overwrite_drops_what_was_begun_and_replaces_the_store(shelf, tmp_path, monkeypatch):
    monkeypatch.setattr(work, "_store", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert cli("encode", *encode(shelf, tmp_path / "store")).status == 130
    monkeypatch.undo()
    done = cli("encode", *encode(shelf, tmp_path / "store", "--batch-size", "64", "--overwrite"))
    assert done.status == 0 and "going on" not in done.out
    one_line(cli("encode", *encode(shelf, tmp_path / "store")), "exists; pass --overwrite")


def test_consecutive():
    assert consecutive([]) == []
    assert consecutive([0, 1, 2, 5, 7, 8]) == [range(0, 3), range(5, 6), range(7, 9)]


@pytest.mark.slow
def test_two_ranks_write_the_same_bytes(shelf, tmp_path):
    assert cli("encode", *encode(shelf, tmp_path / "one")).status == 0
    command = ("encode", *encode(shelf, tmp_path / "two"))
    done = [finished(p) for p in start_bare_ranks(2, *command)]
    assert [d.status for d in done] == [0, 0], done
    assert "items       700" in done[0].out and not done[1].out
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


@pytest.mark.slow
def test_killed_and_started_again_by_two_ranks(tmp_path, monkeypatch):
    large = png(np.random.default_rng(0).integers(0, 256, size=(600, 600, 3), dtype=np.uint8))
    contents = [*(png(p) for p in pixels(500)), *[large] * 800]
    source = write_items(tmp_path / "items", range(1300), contents, group=64)
    process = start("encode", *encode(source, tmp_path / "store", "--workers", "1"))
    parts, until = tmp_path / ".store.parts", time.monotonic() + 60
    while not list(parts.glob("part-*")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    process.kill()
    assert finished(process).status == -signal.SIGKILL
    assert len(list(parts.glob("part-*"))) < 6 == -(-1300 // items_module.PART_ROWS[0])
    done = [finished(p) for p in start_bare_ranks(2, "encode", *encode(source, tmp_path / "store"))]
    assert [d.status for d in done] == [0, 0] and "going on: " in done[0].out, done
    assert cli("encode", *encode(source, tmp_path / "whole")).status == 0
    assert digests(tmp_path / "store") == digests(tmp_path / "whole")
    assert not parts.exists()


def test_a_store_that_somebody_else_encodes_is_refused_before_the_work(shelf, tmp_path, monkeypatch):
    monkeypatch.setattr(work, "decoded_batches", lambda *_: pytest.fail("two encode it"))
    for more in ([], ["--overwrite"]):
        with held_elsewhere(tmp_path / "store"):
            one_line(
                cli("encode", *encode(shelf, tmp_path / "store"), *more), "store' is being written by", "another path"
            )
    assert list(tmp_path.iterdir()) == []
