"""Row groups that cannot be decoded, skipped: every rank has its steps, every other row is there, all is counted."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from embeddings.errors import InputError
from tests.train.data.rows import make_rows, times, write_rows


def spoil(path: Path, *groups: int) -> None:
    """Overwrite half a column of row groups."""
    data = bytearray(path.read_bytes())
    for group in groups:
        chunk = pq.read_metadata(path).row_group(group).column(1)
        start, middle = chunk.dictionary_page_offset or chunk.data_page_offset, chunk.total_compressed_size // 2
        data[start + middle : start + chunk.total_compressed_size] = b"\xff" * (chunk.total_compressed_size - middle)
    path.write_bytes(data)


@pytest.fixture
def path(tmp_path) -> Path:
    """Row groups of 8; group g has rows 8 g to 8 g + 7."""
    place = tmp_path / "train" / "part-0.parquet"
    write_rows(place, make_rows(40), group=8, write_page_checksum=True, compression="zstd")
    return place


def test_in_order_the_rows_are_left_out(path, reader, caplog):
    spoil(path, 0, 3)
    row_reader = reader(batch_size=5, skip_corrupt=True)
    batches = list(row_reader.epoch(0))
    assert [len(b) for b in batches] == [5] * 8
    assert [t for rows in times(batches) for t in rows] == [*range(8, 24), *range(32, 40)]
    filled = [t for b in batches for t in b.extra["time"][: b.repeated].tolist()]
    assert len(filled) == 16 and set(filled) <= set(range(8, 16)), "the first group that can be read stands in"
    assert (row_reader.counters.rows, row_reader.counters.corrupt) == (40, 16)
    list(row_reader.epoch(1))
    for group in (0, 3):
        said = [r for r in caplog.records if f"row group {group} of 5: data cannot be read" in r.message]
        assert len(said) == 1 and "data.on_corrupt=skip: its rows are skipped" in said[0].message


@pytest.mark.parametrize("shuffle_rows", [0, 16])
@pytest.mark.parametrize("world", [1, 3])
def test_every_rank_has_its_steps(path, reader, shuffle_rows, world):
    spoil(path, 1, 2)
    seen, sizes, corrupt = set(), [], 0
    for rank in range(world):
        row_reader = reader(batch_size=3, rank=rank, world_size=world, shuffle_rows=shuffle_rows, skip_corrupt=True)
        batches = list(row_reader.epoch(0))
        sizes.append([len(b) for b in batches])
        seen |= {t for rows in times(batches) for t in rows}
        corrupt += row_reader.counters.corrupt
    assert all(s == sizes[0] for s in sizes)
    assert seen == {*range(8), *range(24, 40)} and corrupt in (16, 17)  # a repeated row may be one of them


def test_going_on_from_any_position_gives_the_same_rows(path, reader):
    spoil(path, 1)
    settings = {"batch_size": 3, "shuffle_rows": 9, "skip_corrupt": True}
    whole = [b.extra["time"].tolist() for b in reader(**settings).epoch(0)]
    for stop in range(len(whole)):
        assert [b.extra["time"].tolist() for b in reader(**settings).epoch(0, start=stop)] == whole[stop:]
    row_reader = reader(batch_size=6, shuffle_rows=9, skip_corrupt=True)
    row_reader.load_state_dict(reader(**settings).state_dict(0, 5))
    again = [t for b in row_reader.epoch(0, row_reader.batch_index) for t in b.extra["time"].tolist()]
    assert sorted(again) == sorted(t for rows in whole[5:] for t in rows)


def test_all_corrupt_is_an_error(path, reader):
    spoil(path, *range(5))
    with pytest.raises(InputError, match=r"no row group of 1 files, '.*part-0.parquet' the first, can be read"):
        list(reader(skip_corrupt=True).epoch(0))


def test_a_value_that_is_wrong_is_an_error_all_the_same(tmp_path, reader):
    rows = make_rows(16)
    rows[9]["label"] = 5
    write_rows(tmp_path / "train" / "part-0.parquet", rows, group=8)
    with pytest.raises(InputError, match="1 labels are not 0 or 1"):
        list(reader(skip_corrupt=True).epoch(0))
