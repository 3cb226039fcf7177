"""Stores built from .npy pairs and from parquet."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embeddings.errors import InputError
from embeddings.frozen import build_store as sources
from embeddings.frozen.build_store import build_from_npy, build_from_parquet
from embeddings.frozen.store import build_store

IDS = np.array([5, -7, 2**60, 0, 11, 3, 4], dtype=np.int64)
VECTORS = np.random.default_rng(5).normal(size=(7, 4)).astype(np.float32)
COLUMNS = {"id_column": "item", "vector_column": "v"}

LIST_TYPES = {
    "list": pa.list_(pa.float32()),
    "large_list": pa.large_list(pa.float32()),
    "fixed_size_list": pa.list_(pa.float32(), 4),
    "doubles": pa.list_(pa.float64()),
}


def _write(file: Path, ids: np.ndarray, vectors: list, kind: pa.DataType, **options) -> None:
    columns = {"other": pa.array(ids), "v": pa.array(vectors, kind), "item": pa.array(ids)}
    pq.write_table(pa.table(columns), file, **options)


@pytest.mark.parametrize("kind", LIST_TYPES)
@pytest.mark.parametrize("batch_rows", [1, 3, 100])
def test_parquet_equals_arrays(tmp_path: Path, kind: str, batch_rows: int, monkeypatch) -> None:
    monkeypatch.setattr(sources, "BATCH_ROWS", batch_rows)
    folder = tmp_path / "rows"
    folder.mkdir()
    _write(folder / "a.parquet", IDS[:5], VECTORS[:5].tolist(), LIST_TYPES[kind], row_group_size=2)
    _write(folder / "b.parquet", IDS[5:], VECTORS[5:].tolist(), LIST_TYPES[kind])
    _write(folder / "c.parquet", IDS[:0], [], LIST_TYPES[kind])
    (folder / "notes.txt").write_text("not parquet")
    expected = build_store(str(tmp_path / "arrays"), IDS, VECTORS, dtype="float32")
    store = build_from_parquet(str(tmp_path / "s"), str(folder), **COLUMNS, dtype="float32", encoder="e")
    assert store.checksum == expected.checksum and store.encoder == "e"
    assert sorted(os.listdir(tmp_path)) == ["arrays", "rows", "s"]


@pytest.mark.parametrize("kind", LIST_TYPES)
def test_a_slice_of_a_column_gives_its_own_values(kind: str) -> None:
    column = pa.array(VECTORS.tolist(), LIST_TYPES[kind])[2:5]
    assert np.array_equal(sources._vectors("f", IDS[2:5], column), VECTORS[2:5])


def test_int8_parquet_keeps_its_values(tmp_path: Path) -> None:
    values = np.array([[1, -2, 2], [127, 0, 0]], dtype=np.int8)
    _write(tmp_path / "a.parquet", np.array([9, 4]), values.tolist(), pa.list_(pa.int8()))
    store = build_from_parquet(str(tmp_path / "s"), str(tmp_path / "a.parquet"), **COLUMNS, dtype="int8")
    assert store.vectors.tolist() == values[::-1].tolist()
    assert store.scale.tolist() == pytest.approx([1 / 127, 1 / 3])


def test_npy_equals_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "i.npy", IDS)
    np.save(tmp_path / "v.npy", VECTORS)
    expected = build_store(str(tmp_path / "arrays"), IDS, VECTORS)
    store = build_from_npy(str(tmp_path / "s"), str(tmp_path / "i.npy"), str(tmp_path / "v.npy"))
    assert store.checksum == expected.checksum


F4 = pa.list_(pa.float32())


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"item": [1], "vec": [[1.0]]}, "has no column 'v'; did you mean 'vec'"),
        ({"id": [1], "v": [[1.0]]}, "has no column 'item'.*columns: "),
        ({"item": ["a"], "v": [[1.0]]}, "ids are string; allowed: integers"),
        ({"item": [1, None], "v": [[1.0], [2.0]]}, "1 ids are null"),
        ({"item": pa.array([2**63], pa.uint64()), "v": [[1.0]]}, "id 9223372036854775808 does not fit int64"),
        ({"item": [1], "v": [1.0]}, "vectors are double; allowed: lists of floats or int8"),
        ({"item": [1], "v": [[1]]}, "vectors are list<.*int64>; allowed: lists of floats or int8"),
        ({"item": [1, 2], "v": [[1.0], None]}, "the vector of id 2 is null"),
        # pyarrow before 26 cannot read this file at all, and says so.
        (
            {"item": [1, 2], "v": pa.array([[1.0], None], pa.list_(pa.float32(), 1))},
            "id 2 is null|data cannot be read",
        ),
        ({"item": [1, 2], "v": [[1.0, 2.0], [1.0]]}, "vector of id 2 has 1 values, that of id 1 has 2"),
        ({"item": [1], "v": pa.array([[]], F4)}, "the vector of id 1 is empty"),
        ({"item": [1, 2], "v": [[1.0], [None]]}, "1 values inside vectors are null"),
        ({"item": pa.array([], pa.int64()), "v": pa.array([], F4)}, "holds no rows"),
        ({"item": [3, 1, 3], "v": [[1.0], [2.0], [1.0]]}, "id 3 repeats"),
        ({"item": [3, 1], "v": [[1.0], [0.0]]}, "vector of id 1 is zero"),
    ],
)
def test_bad_columns_are_named(tmp_path: Path, columns: dict, message: str) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=message):
        build_from_parquet(str(tmp_path / "s"), str(tmp_path / "a.parquet"), **COLUMNS)
    assert os.listdir(tmp_path) == ["a.parquet"]


@pytest.mark.parametrize(("kind", "width"), [(pa.float32(), 3), (pa.float64(), 2)])
def test_files_that_differ_are_named(tmp_path: Path, kind: pa.DataType, width: int) -> None:
    _write(tmp_path / "a.parquet", np.array([1]), [[1.0, 2.0]], F4)
    _write(tmp_path / "b.parquet", np.array([2]), [[1.0] * width], pa.list_(kind))
    with pytest.raises(
        InputError, match=r"b\.parquet': vectors are float.* of width .*, but float32 of width 2 before"
    ):
        build_from_parquet(str(tmp_path / "s"), str(tmp_path), **COLUMNS)


def test_damaged_and_missing_parquet(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist; give a parquet file or a folder"):
        build_from_parquet(str(tmp_path / "s"), str(tmp_path / "none"), **COLUMNS)
    with pytest.raises(InputError, match=r"holds no \.parquet file"):
        build_from_parquet(str(tmp_path / "s"), str(tmp_path), **COLUMNS)
    _write(tmp_path / "a.parquet", IDS, VECTORS.tolist(), F4)
    raw = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(InputError, match=r"a\.parquet' is not a readable parquet file"):
        build_from_parquet(str(tmp_path / "s"), str(tmp_path), **COLUMNS)


def test_damaged_and_missing_npy(tmp_path: Path) -> None:
    ids, vectors = str(tmp_path / "i.npy"), str(tmp_path / "v.npy")
    with pytest.raises(InputError, match=r"i\.npy' does not exist"):
        build_from_npy(str(tmp_path / "s"), ids, vectors)
    np.save(ids, IDS)
    Path(vectors).write_bytes(b"not numpy")
    with pytest.raises(InputError, match=r"v\.npy' is not a readable \.npy file"):
        build_from_npy(str(tmp_path / "s"), ids, vectors)
    with open(vectors, "wb") as file:
        np.savez(file, a=VECTORS)
    with pytest.raises(InputError, match=r"v\.npy' is an archive of several arrays"):
        build_from_npy(str(tmp_path / "s"), ids, vectors)


def test_an_existing_store_is_refused_before_the_source_is_read(tmp_path: Path) -> None:
    build_store(str(tmp_path / "s"), IDS, VECTORS)
    with pytest.raises(InputError, match="exists; pass --overwrite"):
        build_from_parquet(str(tmp_path / "s"), str(tmp_path / "none"), **COLUMNS)
