"""The frozen stores of an exported model: the one of the right checksum, from where it lay or where it lies now."""

import os
import shutil

import numpy as np
import pytest

from embeddings.frozen.store import FrozenStore
from embeddings.index.create_index import create_index
from recsys.exported.manifest import StoreEntry
from recsys.exported.stores import NoStore, check_store, open_store
from tests.embeddings.frozen.stores import change_store, flip_bits


def entry(store: FrozenStore, path: str) -> StoreEntry:
    return StoreEntry(checksum=store.checksum, width=store.width, count=store.count, encoder="e", path=path)


def test_a_store_from_where_it_lay_or_where_it_lies_now(data, tmp_path):
    store = FrozenStore.open(str(data / "frozen" / "text"))
    assert open_store("text", entry(store, store.path), {}).path == store.path
    moved = shutil.copytree(store.path, tmp_path / "moved")
    assert open_store("text", entry(store, "none"), {"text": str(moved)}).path == str(moved)


def test_one_that_is_missing_or_another_one_may_yet_come(data):
    store, other = (FrozenStore.open(str(data / "frozen" / name)) for name in ("text", "image"))
    for path, words in (("none", "none"), (other.path, other.checksum)):
        with pytest.raises(NoStore, match=words) as got:
            open_store("text", entry(store, path), {})
        assert "--store text=FOLDER" in str(got.value)


def test_vectors_that_are_not_what_the_checksum_says_are_refused_as_a_missing_store_is(data, tmp_path):
    path = shutil.copytree(data / "frozen" / "text", tmp_path / "text")
    check_store("text", FrozenStore.open(str(path)))
    flip_bits(path / "vectors.npy")
    store = FrozenStore.open(str(path))  # whose checksum is that of meta.json alone
    with pytest.raises(NoStore, match=r"modality 'text': .*vectors\.npy' has SHA-256 .*--store text=FOLDER"):
        check_store("text", store)


def test_rows_of_another_norm_are_refused(data, tmp_path):
    path = shutil.copytree(data / "frozen" / "text", tmp_path / "text")
    change_store(str(path), "vectors.npy", lambda array: np.concatenate([array[:-1], array[-1:] * 2]))
    with pytest.raises(NoStore, match="has norm 2"):
        check_store("text", FrozenStore.open(str(path)))


def test_a_file_that_cannot_be_read_any_more(data, tmp_path):
    path = shutil.copytree(data / "frozen" / "text", tmp_path / "text")
    store = FrozenStore.open(str(path))
    os.unlink(path / "vectors.npy")
    with pytest.raises(NoStore, match=r"modality 'text': .* cannot be read"):
        check_store("text", store)


def test_an_index_in_a_stores_place_is_checked_by_a_sample_of_its_rows(data, tmp_path):
    wanted = entry(FrozenStore.open(str(data / "frozen" / "text")), str(tmp_path / "index"))
    with create_index(wanted.path, "e", wanted.width) as writer:
        check_store("text", open_store("text", wanted, {}))  # of no rows
        writer.put(np.arange(10), np.ones((10, wanted.width), np.float32))
    check_store("text", open_store("text", wanted, {}))
    with open(tmp_path / "index" / "vectors-1" / "00000000.vectors", "r+b") as out:
        out.write(b"\x01")
    with pytest.raises(NoStore, match=r"modality 'text': .*id 0 has another CRC.*--store text=FOLDER"):
        check_store("text", open_store("text", wanted, {}))
