"""Conversion of standard rows to the peer's files: indices, padding, formats, vectors, and what bad input says."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.peers.fuxictr.convert import Vocabulary, convert, padded
from embeddings.errors import InputError
from embeddings.frozen.store import build_store

SCHEMA = """
tables: {user: {num_embeddings: 10}, item: {num_embeddings: 10}, tag: {num_embeddings: 5}}
features:
  - {name: past, column: history, kind: sequence, table: item, target: item, max_length: 3}
  - {name: user, kind: id, table: user}
  - {name: item, kind: id, table: item}
  - {name: tags, kind: bag, table: tag, pooling: sum}
  - {name: price, kind: dense}
modalities: {text: {store: frozen/text, target: item, history: past}}
"""
ROWS = {  # split -> (label, user, item, history, tags, price)
    "train": [(1, -5, 70, [], [1], 0.5), (0, 9, 90, [70], [], 1.5), (1, 9, 80, [70, 90, 70, 2**62], [3, 1], 2.5)],
    "validation": [(0, -5, 60, [80, 70], [1], 0.0), (1, -5, 70, [70], [1], 0.0)],
    "test": [(1, 4, 55, [60, 12345, 90], [99], 0.0)],
}
VECTORS = {55: [1.0, 0.0], 60: [0.0, 1.0], 70: [0.6, 0.8]}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for split, rows in ROWS.items():
        (folder / split).mkdir(parents=True)
        label, user, item, history, tags, price = zip(*rows, strict=True)
        table = {
            "label": pa.array(label, pa.int8()),
            "user": pa.array(user, pa.int64()),
            "item": pa.array(item, pa.int64()),
            "history": pa.array(history, pa.list_(pa.int64())),
            "tags": pa.array(tags, pa.list_(pa.int64())),
            "price": pa.array(price, pa.float32()),
        }
        for n, part in enumerate((slice(0, 1), slice(1, None))):  # two files, the second may be empty
            pq.write_table(pa.table({k: v[part] for k, v in table.items()}), folder / split / f"part-{n}.parquet")
    (folder / "schema.yaml").write_text(SCHEMA)
    build_store(str(folder / "frozen" / "text"), np.array([*VECTORS]), np.array([*VECTORS.values()]), dtype="float32")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_indices_put_padding_first_training_ids_next_then_unknown_then_vector_only_ids(data: Path, out: Path):
    convert(str(data), str(out), modality="text")
    train, test, validation = (np.load(out / f"{s}.npz") for s in ("train", "test", "validation"))
    # items of the training rows, histories included: 70 80 90 2**62 -> 1 2 3 4; unknown 5; 55 60 have a vector only
    assert train["item"].tolist() == [1, 3, 2]
    assert train["past"].tolist() == [[0, 0, 0], [0, 0, 1], [3, 1, 4]]  # newest three, padded in front
    assert validation["item"].tolist() == [7, 1]
    assert test["item"].tolist() == [6]
    assert test["past"].tolist() == [[7, 5, 3]]
    assert train["user"].tolist() == [1, 2, 2] and test["user"].tolist() == [3]
    assert train["tags"].tolist() == [[0, 1], [0, 0], [2, 1]] and test["tags"].tolist() == [[0, 3]]
    assert train["price"].tolist() == [0.5, 1.5, 2.5]
    assert train["label"].tolist() == [1, 0, 1]


def test_feature_map_names_the_owner_of_a_shared_table_before_who_shares_it(data: Path, out: Path):
    about = convert(str(data), str(out), modality="text")
    written = json.loads((out / "feature_map.json").read_text())
    features = {name: spec for entry in written["features"] for name, spec in entry.items()}
    assert list(features).index("item") < list(features).index("past")
    assert features["past"]["share_embedding"] == "item" and "share_embedding" not in features["item"]
    assert (features["item"]["vocab_size"], features["item"]["oov_idx"]) == (8, 5)
    assert features["past"]["max_len"] == 3 and features["tags"]["max_len"] == 2
    assert features["tags"]["feature_encoder"] == "layers.MaskedSumPooling()"
    assert features["price"]["type"] == "numeric"
    assert written["labels"] == ["label"]
    assert about == json.loads((out / "peer.json").read_text())
    assert about["pairs"] == [["item", "past"]]
    assert about["rows"] == {"train": 3, "validation": 2, "test": 1}
    assert about["vectors"] == {"target": "item", "history": "past", "width": 2}


def test_every_vector_is_reached_through_the_items_index(data: Path, out: Path):
    convert(str(data), str(out), modality="text")
    vocabularies = json.loads((out / "feature_vocab.json").read_text())
    stored = np.load(out / "vectors.npz")
    by_index = {vocabularies["item"][str(k)]: v for k, v in zip(stored["key"], stored["value"], strict=True)}
    assert len(vocabularies) >= 2  # the peer reads the second entry
    for index, item in ((1, 70), (6, 55), (7, 60)):
        np.testing.assert_allclose(by_index[index], VECTORS[item], atol=1e-6)


def test_int8_vectors_come_out_dequantised(data: Path, out: Path):
    build_store(
        str(data / "frozen" / "text"),
        np.array([*VECTORS]),
        np.array([*VECTORS.values()]),
        dtype="int8",
        overwrite=True,
    )
    convert(str(data), str(out), modality="text")
    value = np.load(out / "vectors.npz")["value"]
    assert value.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(value, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(value, [*VECTORS.values()], atol=0.02)


def test_ids_only_writes_no_vectors_and_a_vocabulary_of_training_ids(data: Path, out: Path):
    about = convert(str(data), str(out))
    assert about["vectors"] is None and not (out / "vectors.npz").exists()
    assert np.load(out / "test.npz")["item"].tolist() == [5]  # unknown


def test_other_formats_hold_the_same_rows_in_the_same_order(data: Path, out: Path):
    convert(str(data), str(out))
    train = dict(np.load(out / "train.npz"))
    blocks = [dict(np.load(f)) for f in sorted((out / "blocks").glob("*.npz"))]
    table = pq.read_table(out / "train.parquet")
    for name, expected in train.items():
        assert np.concatenate([b[name] for b in blocks]).tolist() == expected.tolist()
        assert table[name].to_pylist() == expected.tolist()


def test_keys_hold_labels_and_raw_users(data: Path, out: Path):
    convert(str(data), str(out))
    keys = np.load(out / "validation_keys.npz")
    assert keys["label"].tolist() == [0, 1] and keys["user"].tolist() == [-5, -5]


def test_padded_agrees_with_a_loop():
    rng = np.random.default_rng(0)
    lists = [list(rng.integers(1, 100, rng.integers(0, 7))) for _ in range(50)]
    offsets = np.concatenate([[0], np.cumsum([len(x) for x in lists])])
    histories = padded(np.concatenate([np.array(x, np.int64) for x in lists]), offsets, 4)
    assert histories.tolist() == [[0] * (4 - len(x[-4:])) + x[-4:] for x in lists]


def test_padded_without_any_value():
    assert padded(np.zeros(0, np.int64), np.zeros(3, np.int64), 2).tolist() == [[0, 0], [0, 0]]


def test_vocabulary_without_ids_knows_nothing():
    empty = Vocabulary(np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert empty(np.array([7])).tolist() == [empty.oov] == [1] and empty.size == 2


def test_a_mistyped_modality_names_the_nearest(data: Path, out: Path):
    with pytest.raises(InputError, match=r"no modality 'txt'.*did you mean 'text'"):
        convert(str(data), str(out), modality="txt")


def test_a_missing_column_is_named(data: Path, out: Path):
    file = data / "test" / "part-0.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["tags"]), file)
    with pytest.raises(InputError, match=r"part-0.parquet' lacks columns \['tags'\]"):
        convert(str(data), str(out))


def test_an_empty_split_is_named(data: Path, out: Path):
    for file in (data / "validation").iterdir():
        file.unlink()
    with pytest.raises(InputError, match=r"no parquet files in '.*validation'"):
        convert(str(data), str(out))
