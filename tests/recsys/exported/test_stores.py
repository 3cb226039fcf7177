"""The frozen stores of an exported model: the one of the right checksum, from where it lay or where it lies now."""

import shutil

import pytest

from embeddings.frozen.store import FrozenStore
from recsys.exported.manifest import StoreEntry
from recsys.exported.stores import NoStore, open_store


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
