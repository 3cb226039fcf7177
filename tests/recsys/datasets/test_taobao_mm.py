"""TAOBAO-MM: every field of the true schema, both layouts, the published sample, and what malformed files say."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from embeddings.errors import InputError
from embeddings.frozen.check_store import verify
from embeddings.frozen.store import FrozenStore
from recsys.datasets import taobao_mm
from recsys.datasets.io.user_split import held_out
from recsys.datasets.taobao_mm import TaobaoConfig, prepare
from recsys.schema import load_schema
from tests.recsys.datasets.folders import digests, rows
from tests.recsys.datasets.taobao import (
    ITEMS,
    SAMPLES,
    SHARDS,
    impression,
    write,
    write_shards,
    write_tables,
    write_vectors,
)

BIG = 2**62
HALF = TaobaoConfig(validation=2)


def some_rows(first_user: int) -> list[tuple]:
    """Impressions of 12 users with 1 to 3 rows each, ids of both signs, and zeros and repeats in histories."""
    impressions = []
    for u in range(first_user, first_user + 12):
        user = (-1) ** u * (BIG + u)
        items = [] if u % 4 == 0 else [0, 0, 30 + u, 0, -(BIG - u), 30 + u, 31][: 2 + u % 6]
        categories = [7 * n for n in range(len(items))]
        impressions += [impression(user, 30 + u + n, (u + n) % 3 == 0, items, categories) for n in range(1 + u % 3)]
    return impressions


def expected(row: tuple, history: int) -> dict:
    """One written row, read off the published one by hand."""
    label, user, *profile, items, categories, item, category, place_1, place_2 = row
    known = [(i, c) for i, c in zip(items, categories, strict=True) if i != 0][-history:]
    return {
        "label": label[1],
        "user": user,
        **{f"profile_{n}": value for n, value in enumerate(profile, start=1)},
        "item": item,
        "category": category,
        "place_1": place_1,
        "place_2": place_2,
        "history": [i for i, _ in known],
        "history_category": [c for _, c in known],
    }


TRAIN, TEST = some_rows(0), some_rows(100)


@pytest.fixture
def shards(tmp_path):
    return write_shards(tmp_path / "source", {"train": [TRAIN[:9], TRAIN[9:]], "test": [TEST]}, row_group_size=4)


@pytest.mark.parametrize(("at_once", "history"), [(3, 1000), (1000, 2)])
def test_every_field_of_every_shard(tmp_path, shards, monkeypatch, at_once, history):
    monkeypatch.setattr(taobao_mm, "ROWS", at_once)
    counts = prepare(shards, str(tmp_path / "out"), TaobaoConfig(history=history, validation=2))
    held = {user for user in {row[1] for row in TRAIN} if held_out(np.array([user]), 2)[0]}
    assert 0 < len(held) < 12
    for split, source in {
        "train": [row for row in TRAIN if row[1] not in held],
        "validation": [row for row in TRAIN if row[1] in held],
        "test": TEST,
    }.items():
        assert rows(tmp_path / "out", split) == [expected(row, history) for row in source]
        assert (counts[split].rows, counts[split].positives) == (len(source), sum(row[0][1] for row in source))


def test_vectors_are_used_as_they_are(tmp_path, shards):
    prepare(shards, str(tmp_path / "out"), HALF)
    store = FrozenStore.open(str(tmp_path / "out" / "frozen" / "scl"))
    verify(store)
    source = pq.read_table(Path(shards, "raw", "scl_embedding_int8_p90.parquet")).to_pydict()
    published = dict(zip(source["205"], source["205_c"], strict=True))
    assert store.dtype == "int8" and sorted(published) == store.ids.tolist()
    assert {i: v.tolist() for i, v in zip(store.ids.tolist(), store.vectors, strict=True)} == published


def test_schema_and_provenance(tmp_path, shards):
    prepare(shards, str(tmp_path / "out"), TaobaoConfig(history=5, validation=2))
    schema = load_schema(str(tmp_path / "out"))
    items = {row[9] for row in TRAIN + TEST}
    assert schema.tables["user"].num_embeddings == 2 * 24 and schema.tables["item"].num_embeddings == 2 * (
        len(items) - 1
    )
    assert schema.tables["place_2"].num_embeddings == 2 * len({item // 7 for item in items})
    assert {t.ids for t in schema.tables.values()} == {"modulo"}
    assert [n for n, t in schema.tables.items() if t.embedding_dim == 8] == ["profile_3", "profile_4", "profile_5"]
    assert schema.feature("history").max_length == 5 and schema.feature("history_category").target == "category"
    facts = json.loads((tmp_path / "out" / "prepare.json").read_text())
    assert facts["generator"] == "taobao-mm" and facts["flags"] == {"history": 5, "validation": 2}
    assert (facts["targets"], facts["vectors"]) == (len(TRAIN + TEST), len(items) - 1)
    assert facts["targets_without_vector"] == sum(row[9] == max(items) for row in TRAIN + TEST)
    assert facts["rows_without_history"] == sum(not any(row[7]) for row in TRAIN + TEST)


def test_behaviours_of_every_64th_row_are_looked_up(tmp_path, monkeypatch):
    monkeypatch.setattr(taobao_mm, "ROWS", 50)  # so that the places of the sample differ from part to part
    many = [impression(5, 40, False, [40, 41, n + 1000][: 1 + n % 3], [1, 2, 3][: 1 + n % 3]) for n in range(300)]
    source = write_shards(tmp_path / "source", {"train": [many], "test": [[impression(5, 41, True, [], [])]]})
    prepare(source, str(tmp_path / "out"), HALF)
    facts = json.loads((tmp_path / "out" / "prepare.json").read_text())
    sample = [i for n in range(0, 300, 64) for i in many[n][7]]
    assert facts["behaviours_looked_up"] == len(sample)
    assert facts["behaviours_without_vector"] == sum(i != 40 for i in sample)


def test_raw_tables_join_to_the_same_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(taobao_mm, "ROWS", 4)
    monkeypatch.setattr(taobao_mm, "USERS", 5)
    source = write_tables(tmp_path / "source", {"train": TRAIN, "test": TEST})
    prepare(source, str(tmp_path / "out"), HALF)
    written = [r for split in ("train", "validation") for r in rows(tmp_path / "out", split)]
    assert sorted(written, key=str) == sorted((expected(row, 1000) for row in TRAIN), key=str)
    by_user = sorted(TEST, key=lambda row: row[1])  # users as in their table, samples as in theirs
    assert rows(tmp_path / "out", "test") == [expected(row, 1000) for row in by_user]


def test_samples_without_features_keep_zeros(tmp_path):
    source = Path(write_tables(tmp_path / "source", {"train": TRAIN, "test": TEST}))
    write(source / "raw" / "test_samples.parquet", SAMPLES, [([0, 1], 77, 999)])
    write(source / "raw" / "item_features.parquet", ITEMS, [(1, 2, 3, 4)])
    prepare(str(source), str(tmp_path / "out"), HALF)
    zeros = {name: 0 for name in expected(GOOD, 9)}
    assert rows(tmp_path / "out", "test") == [
        {**zeros, "label": 1, "user": 77, "item": 999, "history": [], "history_category": []}
    ]


def test_nulls_are_missing_ids(tmp_path):
    row = impression(3, 50, True, [50, 51], [1, 2])
    bare = (row[0], 4, None, *row[3:7], None, None, *row[9:])
    source = write_shards(
        tmp_path / "source", {"train": [[row, bare]], "test": [[row, impression(3, 60, False, [], [])]]}
    )
    prepare(source, str(tmp_path / "out"), TaobaoConfig(validation=10**9))
    assert rows(tmp_path / "out", "train")[1] == {
        **expected(row, 9), "user": 4, "profile_1": 0, "history": [], "history_category": []
    }  # fmt: skip


def test_same_files_again(tmp_path, shards):
    for name in "ab":
        prepare(shards, str(tmp_path / name), HALF)
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_held_out_users_are_fixed_and_spread():
    ids = np.concatenate([np.arange(100_000), -np.arange(1, 100_001) * 2**40])
    share = held_out(ids, 100)
    assert abs(share.mean() - 0.01) < 0.001 and abs(share[:100_000].mean() - share[100_000:].mean()) < 0.002
    # a change of the hash would move users between published splits
    assert (np.flatnonzero(held_out(np.arange(-300, 300), 100)) - 300).tolist() == [-151, -100, -96, 0, 12, 47]


def test_the_published_sample_does_not_join_and_says_so(tmp_path, shared_data):
    counts = prepare(str(shared_data / "taobao-mm-demo"), str(tmp_path / "out"))
    assert sum(count.rows for count in counts.values()) == 20 and counts["test"].positives == 1
    facts = json.loads((tmp_path / "out" / "prepare.json").read_text())
    assert (facts["targets"], facts["targets_without_vector"], facts["rows_without_history"]) == (20, 20, 20)
    assert FrozenStore.open(str(tmp_path / "out" / "frozen" / "scl")).vectors[0, :3].tolist() != [0, 0, 0]


GOOD = impression(3, 50, True, [50, 51], [1, 2])


def bad(tmp_path, row: tuple, kinds=SHARDS) -> str:
    source = tmp_path / "source"
    write_vectors(source, [50, 51])
    write(source / "test" / "test-shard-000000.parquet", SHARDS, [GOOD])
    good = GOOD[: len(kinds)]
    write(source / "train" / "train-shard-000000.parquet", kinds, [good, good, row])
    return str(source)


@pytest.mark.parametrize("label", [[1], [], None, [1, 1], [0, 0], [0, 2], [0, 1, 0]])
def test_a_label_that_is_not_one_hot_is_named(tmp_path, label):
    source = bad(tmp_path, (label, *GOOD[1:]))
    shown = str(label or []).replace("[", r"\[")
    with pytest.raises(
        InputError, match=rf"train-shard-000000\.parquet' row 2 .*: label_0 is {shown}; allowed: \[1, 0\]"
    ):
        prepare(source, str(tmp_path / "out"))
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_histories_of_different_lengths_are_named(tmp_path):
    source = bad(tmp_path, (*GOOD[:8], [1], *GOOD[9:]))
    with pytest.raises(InputError, match=r"000000\.parquet' row 2 .*: 150_2_180 has 2 values, 151_2_180 1"):
        prepare(source, str(tmp_path / "out"))


def test_a_missing_column_and_a_wrong_type_are_named(tmp_path):
    with pytest.raises(InputError, match=r"train-shard-000000\.parquet' has no column '214'; did you mean"):
        prepare(bad(tmp_path, GOOD[:-1], dict(list(SHARDS.items())[:-1])), str(tmp_path / "out"))
    with pytest.raises(InputError, match=r"000000\.parquet', column '129_1' is list<.*allowed: signed integers"):
        kinds = {**SHARDS, "129_1": SHARDS["150_2_180"]}
        write(tmp_path / "source" / "train" / "train-shard-000000.parquet", kinds, [(GOOD[0], [1], *GOOD[2:])])
        prepare(str(tmp_path / "source"), str(tmp_path / "out"))


def test_a_cut_file_is_named(tmp_path, shards):
    file = Path(shards, "train", "train-shard-000001.parquet")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"000001\.parquet' is not a readable parquet file .*truncated or corrupt"):
        prepare(shards, str(tmp_path / "out"))


def test_damaged_pages_are_named(tmp_path, shards):
    file = Path(shards, "train", "train-shard-000001.parquet")
    content = bytearray(file.read_bytes())
    content[4:400] = bytes(396)
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"000001\.parquet', row group 0 of \d+: data cannot be read .*corrupt"):
        prepare(shards, str(tmp_path / "out"))


@pytest.mark.parametrize("name", ["scl_embedding_int8_p90", "item_features", "train_samples", "test_user_features"])
def test_a_missing_table_is_named(tmp_path, name):
    source = write_tables(tmp_path / "source", {"train": TRAIN, "test": TEST})
    Path(source, "raw", f"{name}.parquet").unlink()
    with pytest.raises(InputError, match=rf"no '{name}\.parquet' in .*--source is the folder"):
        prepare(source, str(tmp_path / "out"))
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize(
    ("flags", "message"), [({"history": 0}, "history is 0"), ({"validation": 1}, "validation is 1")]
)
def test_flags_out_of_range(flags, message):
    with pytest.raises(InputError, match=message):
        TaobaoConfig(**flags)
