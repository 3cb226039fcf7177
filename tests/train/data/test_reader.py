"""The reader: every row once, the content of a batch, order, seeds, and going on from a position."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings.errors import InputError
from tests.train.data.rows import SCHEMA, expected, make_rows, times, unpacked, write_rows, write_split
from train.data.reader import RowReader


def flat(batches: list[list[int]]) -> list[int]:
    return [t for batch in batches for t in batch]


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


@pytest.mark.parametrize("shuffle_rows", [0, 16])
def test_a_batch_holds_what_plain_python_reads(tmp_path, reader, shuffle_rows):
    rows = write_split(tmp_path, [23, 13], group=6)
    row_reader = reader(shuffle_rows=shuffle_rows, workers=2, batch_size=5)
    read = [row for batch in row_reader.epoch(0) for row in unpacked(batch)]
    assert read == [expected(rows[row["time"]]) for row in read]
    assert row_reader.counters.truncated == {
        "history": sum(len(r["history"]) > 5 for r in rows),
        "tags": sum(len(r["item_tags"]) > 2 for r in rows),
    }
    lookups = [i for r in rows for i in (expected(r)["image"][0], *expected(r)["image"][1])]
    assert row_reader.counters.lookups == {"image": len(lookups)}
    assert row_reader.counters.missing == {"image": lookups.count(-1)}
    assert row_reader.counters.missing_share("image") == lookups.count(-1) / len(lookups) > 0


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


def test_windows_mix_row_groups_and_groups_change_places(tmp_path, reader):
    write_split(tmp_path, [400], group=20)
    batches = times(reader(shuffle_rows=200, batch_size=20).epoch(0))
    assert np.mean([len({t // 20 for t in batch}) for batch in batches]) > 6
    first_groups = {t // 20 for batch in batches[:10] for t in batch}
    second_epoch = times(reader(shuffle_rows=200, batch_size=20).epoch(1))
    assert first_groups != {t // 20 for batch in second_epoch[:10] for t in batch}
    assert len(first_groups) == 10 and first_groups != set(range(10))


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("shuffle_rows", [0, 24])
def test_going_on_from_any_position_is_as_if_never_stopped(tmp_path, reader, workers, shuffle_rows):
    write_split(tmp_path, [33, 28], group=7)
    settings = {"workers": workers, "shuffle_rows": shuffle_rows, "world_size": 2, "rank": 1, "batch_size": 3}
    whole = times(reader(**settings).epoch(1))
    for stop in range(len(whole) + 1):
        first = reader(**settings)
        batches = first.epoch(1)
        head = times(next(batches) for _ in range(stop))
        state = first.state_dict()
        batches.close()
        second = reader(**settings, prefetch=1)
        second.load_state_dict(state)
        assert (second.epoch_index, second.batch_index) == (1, stop)
        assert head + times(second.epoch(second.epoch_index, start=second.batch_index)) == whole


def test_skipped_row_groups_are_not_read(tmp_path, reader, monkeypatch):
    write_split(tmp_path, [40], group=4)
    import train.data.row_groups as stream

    read = []
    real = stream.open_file

    def spy(file):
        opened = real(file)
        iter_batches = opened.iter_batches
        opened.iter_batches = lambda *a, **k: (read.extend(k["row_groups"]), iter_batches(*a, **k))[1]
        return opened

    monkeypatch.setattr(stream, "open_file", spy)
    row_reader = reader()
    plan = dataclasses.replace(row_reader._own.plan, window_rows=8)
    row_reader._own = row_reader._shards = dataclasses.replace(row_reader._own, plan=plan)
    assert times(row_reader.epoch(0, start=7)) == [[28, 29, 30, 31], [32, 33, 34, 35], [36, 37, 38, 39]]
    assert read == [6, 7, 8, 9]  # windows of two batches: batch 7 is the second of its window


def test_a_position_of_other_settings_or_files_is_refused(tmp_path, reader):
    write_split(tmp_path, [20])
    state = reader(world_size=1, shuffle_rows=8).state_dict()
    for change in ({"seed": 1}, {"shuffle_rows": 0}):
        (key, value), settings = next(iter(change.items())), {"shuffle_rows": 8, **change}
        with pytest.raises(
            InputError, match=rf"cannot go on .*'train': {key} is {value}, .*saved with \d; set {key} back"
        ):
            reader(**settings).load_state_dict(state)
    write_rows(tmp_path / "train" / "part-0.parquet", make_rows(21))
    with pytest.raises(InputError, match=r"'train': its files are not those .* bring the old files back"):
        reader(shuffle_rows=8).load_state_dict(state)


def test_the_position_names_file_and_row_group(tmp_path, reader):
    write_split(tmp_path, [8, 8])
    row_reader = reader()
    batches = row_reader.epoch(2)
    for _ in range(4):
        next(batches)
    place = tmp_path / "train" / "part-1.parquet"
    assert str(row_reader.position()) == f"split 'train', epoch 3, batch 3, file '{place}', row group 1"
    assert (row_reader.position(batch=2).row_group, row_reader.position(batch=1).file[-14:]) == (0, "part-0.parquet")
    batches.close()
    shuffled = reader(shuffle_rows=8)
    shuffled.epoch(0).close()
    assert str(shuffled.position(batch=3)).endswith(" and 1 more shuffled with it")


def test_rows_without_labels(tmp_path, reader):
    rows = [{k: v for k, v in row.items() if k != "label"} for row in make_rows(5)]
    write_rows(tmp_path / "train" / "a.parquet", rows, types=None)
    batch = next(iter(reader(with_labels=False, batch_size=5).epoch(0)))
    assert len(batch) == 5 and batch.labels.isnan().all()
    assert batch.targets.tolist() == [row["item"] for row in rows]


def test_more_workers_than_rows_are_announced(tmp_path, reader, caplog):
    write_split(tmp_path, [5])
    row_reader = reader(world_size=2, workers=3)
    assert "2 reading threads a rank instead of 3, as there are only 5 rows" in caplog.text
    assert flat(times(row_reader.epoch(0))) == [0, 1, 2]


def test_a_giant_row_group_is_read_in_pieces(tmp_path, reader, monkeypatch):
    import train.data.parquet_files as files

    monkeypatch.setattr(files, "CHUNK_ROWS", (1, 32_768))
    monkeypatch.setattr(files, "CHUNK_BYTES", 1000)
    rows = write_split(tmp_path, [200], group=1000)
    row_reader = reader()
    values = sum(6 + len(r["history"]) + len(r["item_tags"]) for r in rows)
    assert 1 <= row_reader._streams._chunk_rows <= 1000 * 200 / (8 * values) < 20
    assert flat(times(row_reader.epoch(0))) == list(range(200))
    shares = [flat(times(reader(rank=rank, world_size=3).epoch(0))) for rank in range(3)]
    assert [share[0] for share in shares] == [0, 67, 134] and flat(shares) == list(range(200))
