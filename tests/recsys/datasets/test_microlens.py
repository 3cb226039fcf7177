"""MicroLens: the recipe against a slow second reading of it, and what malformed files say."""

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.frozen.check_store import verify
from embeddings.frozen.store import FrozenStore
from recsys.datasets.microlens import MicroLensConfig, prepare
from recsys.schema import load_schema
from tests.recsys.datasets.folders import digests, rows

SEQUENCES = {
    7: [3, 50, 4, 11, 9],
    2: [11, 3, 60, 61, 62, 63, 64, 9, 4],
    9: [9, 3, 11, 50, 60, 70],
    4: [80, 81, 82, 83, 84, 85, 86, 87],
}
REAL = Path(os.environ.get("TIERWISE_DATA", Path(__file__).parents[4] / "shared" / "data")) / "microlens-50k"


def write_source(folder, lines=None, ids=None, vectors=None):
    folder.mkdir()
    lines = lines or ["\t".join([str(u), " ".join(map(str, s))]) for u, s in SEQUENCES.items()]
    (folder / "MicroLens-50k_pairs.tsv").write_bytes("\r\n".join([*lines, ""]).encode())
    ids = np.arange(1, 100) if ids is None else ids
    np.save(folder / "title_ids.npy", ids)
    rng = np.random.default_rng(0)
    np.save(folder / "title_vectors_128.npy", rng.standard_normal((ids.size, 128)) if vectors is None else vectors)
    return str(folder)


@pytest.fixture
def source(tmp_path):
    return write_source(tmp_path / "source")


def expected(split, history):
    """The recipe, one user and one target at a time: (user, target, history) of each positive."""
    positives = []
    for user, x in SEQUENCES.items():
        for n in range(2, len(x) + 1):  # the target is x_n, counted from 1 as in the recipe
            where = "test" if n == len(x) else "validation" if n == len(x) - 1 else "train"
            if where == split:
                positives.append((user, x[n - 1], tuple(x[: n - 1][-history:])))
    return Counter(positives)


@pytest.mark.parametrize("history", [3, 20])
def test_rows_follow_the_recipe(tmp_path, source, history):
    counts = prepare(source, str(tmp_path / "out"), MicroLensConfig(history=history))
    catalogue = {i for s in SEQUENCES.values() for i in s}
    for split, negatives in (("train", 1), ("validation", 4), ("test", 4)):
        written = rows(tmp_path / "out", split)
        positive = Counter((r["user"], r["item"], tuple(r["history"])) for r in written if r["label"])
        assert positive == expected(split, history)
        negative = Counter((r["user"], tuple(r["history"])) for r in written if not r["label"])
        wanted = Counter()
        for (user, _, past), count in expected(split, history).items():
            wanted[user, past] += negatives * count
        assert negative == wanted
        for r in written:
            assert r["label"] or (r["item"] in catalogue and r["item"] not in SEQUENCES[r["user"]])
        assert (counts[split].rows, counts[split].positives) == (len(written), sum(positive.values()))


def test_evaluation_rows_are_a_positive_and_its_four_different_negatives(tmp_path, source):
    prepare(source, str(tmp_path / "out"))
    written = rows(tmp_path / "out", "test")
    assert [r["label"] for r in written] == [1, 0, 0, 0, 0] * len(SEQUENCES)
    assert [r["user"] for r in written[::5]] == list(SEQUENCES)
    for i in range(0, len(written), 5):
        assert len({r["item"] for r in written[i : i + 5]}) == 5


def test_every_second_negative_is_popular_among_train_targets(tmp_path, source):
    prepare(source, str(tmp_path / "out"))
    popular = {item for _, item, _ in expected("train", 20)}
    for split in ("validation", "test"):
        written = rows(tmp_path / "out", split)
        assert {r["item"] for r in written[2::5] + written[4::5]} <= popular
        assert not {r["item"] for r in written[1::5] + written[3::5]} <= popular


def test_schema_store_and_provenance(tmp_path, source):
    lines = Path(source, "MicroLens-50k_pairs.tsv").read_text().splitlines()
    few = write_source(tmp_path / "few", [*lines, "30\t1 2 3 4"], ids=np.arange(1, 80))
    prepare(few, str(tmp_path / "out"), MicroLensConfig(history=6, seed=3))
    schema = load_schema(str(tmp_path / "out"))
    assert schema.timestamp is None
    assert (schema.tables["user"].num_embeddings, schema.tables["item"].num_embeddings) == (10, 88)
    assert schema.feature("history").max_length == 6
    store = FrozenStore.open(str(tmp_path / "out" / schema.modalities["text"].store))
    verify(store)
    assert (store.count, store.width) == (79, 128)
    facts = json.loads((tmp_path / "out" / "prepare.json").read_text())
    assert facts["generator"] == "microlens" and facts["flags"] == {"history": 6, "seed": 3}
    assert facts["users_left_out"] == 1  # four items are too few
    assert facts["items_without_vector"] == 8  # 80..87
    assert facts["rows"] == {"train": 32, "validation": 20, "test": 20}


def test_same_seed_same_files(tmp_path, source):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        prepare(source, str(tmp_path / name), MicroLensConfig(seed=seed))
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    a, c = digests(tmp_path / "a"), digests(tmp_path / "c")
    assert {n for n in a if a[n] != c[n]} >= {f"{s}/part-00000.parquet" for s in ("train", "validation", "test")}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("5", r"line 2: '5' is not 'user TAB item item"),
        ("5\t1 2 x 4 5", r"line 2: .* is not 'user TAB item item"),
        ("", r"line 2: '' is not"),
        ("5\t1 2 3\t4 5", r"line 2: .* is not"),
        ("5\t1 2 -3 4 5", r"line 2: id -3 is outside 0\.\.2147483647"),
        ("5\t1 2 3 4 99999999999", r"line 2: id 99999999999 is outside"),
        ("7\t1 2 3 4 5", r"line 2: user 7 is on line 1 too"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, line, message):
    source = write_source(tmp_path / "source", ["7\t3 50 4 11 9", line, "8\t1 2 3 4 5"])
    with pytest.raises(InputError, match=r"MicroLens-50k_pairs\.tsv' " + message):
        prepare(source, str(tmp_path / "out"))
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_sequences_that_are_all_too_short(tmp_path):
    with pytest.raises(InputError, match="no user with at least 5 items"):
        prepare(write_source(tmp_path / "source", ["7\t1 2 3 4"]), str(tmp_path / "out"))


def test_a_file_that_is_not_text(tmp_path, source):
    Path(source, "MicroLens-50k_pairs.tsv").write_bytes(b"7\t1 2\xff")
    with pytest.raises(InputError, match=r"pairs\.tsv' has a byte that is not ASCII at offset 5"):
        prepare(source, str(tmp_path / "out"))


@pytest.mark.parametrize("name", ["MicroLens-50k_pairs.tsv", "title_ids.npy", "title_vectors_128.npy"])
def test_a_missing_file_is_named(tmp_path, source, name):
    Path(source, name).unlink()
    with pytest.raises(InputError, match=f"{name}' cannot be read .No such file.*--source is the folder"):
        prepare(source, str(tmp_path / "out"))


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"hello"])
def test_vectors_that_are_no_array_are_named(tmp_path, source, content):
    Path(source, "title_vectors_128.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"title_vectors_128\.npy' is not a readable \.npy file"):
        prepare(source, str(tmp_path / "out"))


@pytest.mark.parametrize(("flags", "message"), [({"history": 0}, "history is 0"), ({"seed": -1}, "seed is -1")])
def test_flags_out_of_range(flags, message):
    with pytest.raises(InputError, match=message):
        MicroLensConfig(**flags)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no MicroLens-50k at {REAL}; set TIERWISE_DATA")
def test_the_real_folder_gives_the_known_counts(tmp_path):
    counts = prepare(str(REAL), str(tmp_path / "out"))
    assert {s: (c.rows, c.positives) for s, c in counts.items()} == {
        "train": (419_416, 209_708),
        "validation": (250_000, 50_000),
        "test": (250_000, 50_000),
    }
    facts = json.loads((tmp_path / "out" / "prepare.json").read_text())
    assert (facts["users"], facts["items"], facts["users_left_out"], facts["items_without_vector"]) == (
        50_000,
        19_220,
        0,
        0,
    )
