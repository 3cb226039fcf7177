"""Grocery Store as pairs, on a small folder in its format and, where it is there, on the real one."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embeddings.errors import InputError
from recsys.datasets.grocery import GroceryConfig, prepare
from recsys.scl.pairs_schema import load_pairs

COARSE = {0: 0, 1: 0, 2: 0, 3: 1}


def source(folder: Path, **changed: pa.Array) -> Path:
    folder.mkdir(exist_ok=True)
    item = np.tile(np.arange(4, dtype=np.int32), 9)
    split = ["val" if row >= 32 else "train" for row in range(36)]
    photos = {"split": split, "class_id": item, "coarse_class_id": [COARSE[i] for i in item.tolist()],
              "image": [b"photo %d" % row for row in range(36)]}  # fmt: skip
    products = {"class_id": np.arange(4, dtype=np.int32), "coarse_class_id": list(COARSE.values()),
                "iconic_image": [b"icon %d" % i for i in range(4)],
                "description": [f"words {i}" for i in range(4)]}  # fmt: skip
    pq.write_table(pa.table({**photos, **changed}), folder / "photos.parquet")
    pq.write_table(pa.table(products), folder / "products.parquet")
    return folder


def test_pairs_are_photos_and_their_products(tmp_path):
    counts = prepare(str(source(tmp_path / "raw")), str(tmp_path / "out"))
    assert counts == {"train": 32, "validation": 4}
    items = {r["item"]: r["picture"] for r in pq.read_table(tmp_path / "out" / "items").to_pylist()}
    assert items == {i: b"icon %d" % i for i in range(4)}
    for row in pq.read_table(tmp_path / "out" / "train").to_pylist():
        assert int(row["query"].split()[1]) % 4 == row["item"], "a photo of that product"
        if row["item"] == 3:
            assert row["clicked"] is None, "alone in its coarse class"
        else:
            assert row["clicked"] in {0, 1, 2} - {row["item"]}
    assert load_pairs(tmp_path / "out").negative.column == "clicked"


def test_descriptions_make_a_joint_folder(tmp_path):
    prepare(str(source(tmp_path / "raw")), str(tmp_path / "out"), GroceryConfig(items="text"))
    pairs = load_pairs(tmp_path / "out")
    assert pairs.joint and (pairs.query.kind, pairs.items.kind) == ("image", "text")
    assert pq.read_table(tmp_path / "out" / "items")["description"].to_pylist() == [f"words {i}" for i in range(4)]


def test_held_out_photos_are_of_train_alone(tmp_path):
    counts = prepare(str(source(tmp_path / "raw")), str(tmp_path / "out"), GroceryConfig(held_out=4))
    assert counts == {"train": 24, "validation": 8, "test": 4}
    photos = {s: set(pq.read_table(tmp_path / "out" / s)["query"].to_pylist()) for s in counts}
    assert photos["test"] == {b"photo %d" % row for row in range(32, 36)}
    assert not photos["train"] & photos["validation"]
    items = pq.read_table(tmp_path / "out" / "validation")["item"].to_pylist()
    assert sorted(items) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_what_is_wrong_is_said_and_nothing_is_left(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputError, match="does not exist"):
        prepare(str(tmp_path), str(out))
    wrong = source(tmp_path / "raw", class_id=pa.array([9] * 36, pa.int32()))
    with pytest.raises(InputError, match="class 9, which products"):
        prepare(str(wrong), str(out))
    with pytest.raises(InputError, match="split 'odd'"):
        prepare(str(source(tmp_path / "raw", split=pa.array(["odd"] * 36))), str(out))
    assert [p.name for p in tmp_path.iterdir()] == ["raw"]


def test_the_real_data(tmp_path, shared_data):
    counts = prepare(str(shared_data / "grocery-store"), str(tmp_path / "out"))
    assert counts == {"train": 2640, "validation": 296}
    assert json.loads((tmp_path / "out" / "prepare.json").read_text())["items"] == 81
