"""A snapshot of a live index is a frozen store of the same bytes."""

import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.frozen import check_store
from embeddings.frozen.store import FrozenStore
from embeddings.index.live_index import LiveIndex
from embeddings.index.open_vectors import open_vectors
from embeddings.index.snapshot import write_snapshot
from tests.embeddings.index.indexes import WIDTH, small_index, vectors_of

IDS = np.array([5, -3, 2**63 - 1, -(2**63), 0])


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_the_snapshot_has_the_bytes_of_the_index(tmp_path, dtype):
    out = str(tmp_path / "store")
    with small_index(tmp_path / "index", dtype) as writer, LiveIndex(writer.path) as index:
        with pytest.raises(InputError, match="holds no vectors"):
            write_snapshot(index, out)
        writer.put(IDS, vectors_of(IDS))
        writer.put(IDS[:2], vectors_of(IDS[:2], 1))
        writer.delete(IDS[4:])
        store = write_snapshot(index, out)
        assert store.ids.tolist() == sorted(IDS[:4].tolist())
        rows = index.rows(store.ids)
        assert (store.vectors == index.vectors[rows]).all() and store.encoder == "a-1" and store.dtype == dtype
        if store.scale is not None:
            assert (store.scale == index.scale[rows]).all()
        check_store.verify(store)
        assert check_store.is_marked(store)
        with pytest.raises(InputError, match="exists; pass --overwrite"):
            write_snapshot(index, out)
        writer.put(IDS, vectors_of(IDS, 2))
        assert write_snapshot(index, out, overwrite=True).count == 5
        with small_index(tmp_path / "again", dtype) as other, LiveIndex(other.path) as copy:
            other.put_store(FrozenStore.open(out), "a-1")
            assert (copy.vectors[copy.rows(IDS)] == index.vectors[index.rows(IDS)]).all()


def test_a_store_of_another_dtype_or_width(tmp_path):
    with small_index(tmp_path / "index", "float16") as writer, LiveIndex(writer.path) as index:
        writer.put(IDS, vectors_of(IDS))
        store = write_snapshot(index, str(tmp_path / "store"))
        with small_index(tmp_path / "int8", "int8", encoder="b") as other:
            assert other.put_store(store, "b") == 1
        writer.add_encoder("narrow", WIDTH - 1, "float16")
        with pytest.raises(InputError, match="have width 4, but those of encoder 'narrow'"):
            writer.put_store(store, "narrow")


def test_what_lies_in_a_folder_is_opened(tmp_path):
    with small_index(tmp_path / "index") as writer, LiveIndex(writer.path) as index:
        writer.put(IDS, vectors_of(IDS))
        write_snapshot(index, str(tmp_path / "store"))
    assert isinstance(open_vectors(str(tmp_path / "store")), FrozenStore)
    opened = open_vectors(tmp_path / "index", "a-1")
    assert isinstance(opened, LiveIndex) and opened.rows(IDS).min() >= 0
    opened.close()
    with pytest.raises(InputError, match="no frozen store at"):
        open_vectors(str(tmp_path / "none"))
