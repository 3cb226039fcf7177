"""The reader: every row once, the content of a batch, order, seeds, and going on from a position."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings.errors import InputError
from tests.train.data.rows import SCHEMA, flat, times, write_split
from train.data.reader import RowReader

SETTINGS = st.fixed_dictionaries(
    {
        "batch_size": st.integers(1, 9),
        "world_size": st.integers(1, 4),
        "workers": st.integers(1, 3),
        "shuffle_rows": st.sampled_from([0, 1, 7, 16, 64]),
        "seed": st.integers(-3, 3),
    }
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Splits of several shapes: files' sizes and rows a group."""
    shapes = [([1], 4), ([5], 2), ([12, 0, 9], 4), ([40], 100), ([7, 1, 30, 3], 5)]
    root = tmp_path_factory.mktemp("splits")
    return [(root / str(i), write_split(root / str(i), *shape)) for i, shape in enumerate(shapes)]


@given(data=st.data(), settings_=SETTINGS, epoch=st.integers(0, 2))
@settings(max_examples=60, deadline=None)
def test_every_row_and_batches_of_the_same_sizes_on_every_rank(folders, data, settings_, epoch):
    folder, rows = data.draw(st.sampled_from(folders))
    world = settings_["world_size"] = min(settings_["world_size"], len(rows))
    readers = [RowReader(str(folder), "train", SCHEMA, {}, rank=rank, **settings_) for rank in range(world)]
    read = [list(r.epoch(epoch)) for r in readers]
    seen = flat(flat(times(batches)) for batches in read)
    repeated = sum(r.counters.rows for r in readers) - len(rows)
    assert set(seen) == set(range(len(rows)))
    assert 0 <= repeated < world * settings_["workers"]
    assert len(seen) == len(rows) + (repeated if settings_["shuffle_rows"] else 0)
    sizes = [[len(batch) for batch in batches] for batches in read]
    assert all(s == sizes[0] for s in sizes) and len(sizes[0]) == readers[0].num_batches
    assert min(sizes[0]) >= 1 and max(sizes[0]) <= settings_["batch_size"]
    assert {r.num_rows for r in readers} == {len(rows)}


def test_tensors_have_the_types_that_torchrec_takes_as_they_are(tmp_path, reader):
    write_split(tmp_path, [9])
    batch = next(iter(reader(batch_size=9).epoch(0)))
    assert [str(t.dtype) for t in (batch.labels, batch.dense)] == ["torch.float32"] * 2
    for jagged, features in ((batch.pooled, SCHEMA.pooled), (batch.sequence, SCHEMA.sequential)):
        assert jagged.keys() == [f.name for f in features]
        assert jagged.stride() == 9
        assert str(jagged.values().dtype) == str(jagged.lengths().dtype) == "torch.int64"
        known = jagged.length_per_key(), jagged.offset_per_key()
        sums = jagged.lengths().view(len(features), 9).sum(1)
        assert known == (sums.tolist(), [0, *sums.cumsum(0).tolist()])
    image = batch.frozen["image"]
    assert [str(t.dtype) for t in (image.target, image.history, image.offsets)] == ["torch.int64"] * 3


def test_without_shuffle_the_files_order_is_kept(tmp_path, reader):
    write_split(tmp_path, [6, 5])
    assert times(reader().epoch(3)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]


def test_the_order_goes_by_seed_and_epoch(tmp_path, reader):
    write_split(tmp_path, [64], group=8)
    read = {key: times(reader(shuffle_rows=32, seed=key[0]).epoch(key[1])) for key in [(0, 0), (0, 1), (1, 0), (1, 1)]}
    flat = {key: tuple(t for batch in batches for t in batch) for key, batches in read.items()}
    assert len(set(flat.values())) == 4
    assert tuple(range(64)) not in flat.values()
    assert times(reader(shuffle_rows=32, seed=1, prefetch=1).epoch(1)) == read[1, 1]


def strict_schema(limit: float):
    raw = SCHEMA.model_dump()
    raw["modalities"]["image"]["max_missing"] = limit
    return SCHEMA.model_validate(raw)


def test_items_without_a_vector(tmp_path, reader, refused):
    write_split(tmp_path, [50])
    row_reader = reader()
    list(row_reader.epoch(0))
    share = row_reader.counters.missing_share("image")
    list(reader(strict_schema(share)).epoch(0))
    message = refused(
        "split 'train', modality 'image'",
        "have no vector in",
        "frozen/image",
        f"at most {share - 0.001:.1%} are allowed",
        "add the missing items to the store, or raise modalities.image.max_missing in schema.yaml",
        schema=strict_schema(share - 0.001),
    )
    assert re.search(rf"{share:.1%} of {row_reader.counters.lookups['image']} item lookups", message)


def test_the_verdict_on_missing_vectors_comes_early_in_long_epochs(tmp_path, reader, monkeypatch):
    monkeypatch.setattr("train.data.reader.LOOKUPS_BEFORE_VERDICT", 30)
    write_split(tmp_path, [400])
    row_reader = reader(strict_schema(0.1))
    read = 0
    with pytest.raises(InputError, match="have no vector"):
        for _ in row_reader.epoch(0):
            read += 1
            assert row_reader.counters.lookups["image"] < 30
    assert 0 < read < 10
