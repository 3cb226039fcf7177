"""Batches of one reading thread: their rows, and where a stream begins again."""

import pytest

from tests.train.data.rows import expected, make_rows, times, unpacked, write_rows, write_split


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


def test_rows_without_labels(tmp_path, reader):
    rows = [{k: v for k, v in row.items() if k != "label"} for row in make_rows(5)]
    write_rows(tmp_path / "train" / "a.parquet", rows, types=None)
    batch = next(iter(reader(with_labels=False, batch_size=5).epoch(0)))
    assert len(batch) == 5 and batch.labels.isnan().all()
    assert batch.targets.tolist() == [row["item"] for row in rows]
