"""The shard plan: which rows go to which rank, thread and batch."""

import numpy as np
import pytest

from embeddings.errors import InputError
from tests.train.data.rows import flat, times, write_rows, write_split
from train.data.shard_plan import Segment, ShardPlan, build_shard_plan


def test_files_without_rows(tmp_path, reader):
    write_rows(tmp_path / "train" / "a.parquet", [])
    with pytest.raises(InputError, match=r"split 'train' has no rows in 1 files; write some"):
        reader()


def test_fewer_rows_than_ranks(tmp_path, reader):
    write_split(tmp_path, [2])
    with pytest.raises(InputError, match=r"'train' has 2 rows for 3 ranks, at least one a rank is needed; start fewer"):
        reader(world_size=3)


def test_more_workers_than_rows_are_announced(tmp_path, reader, caplog):
    write_split(tmp_path, [5])
    row_reader = reader(world_size=2, workers=3)
    assert "2 reading threads a rank instead of 3, as there are only 5 rows" in caplog.text
    assert flat(times(row_reader.epoch(0))) == [0, 1, 2]


def plan(rows: list[int], **settings) -> ShardPlan:
    given = {"batch_size": 4, "world_size": 2, "workers": 2, "shuffle_rows": 0, "chunk_rows": 8, "seed": 0}
    return build_shard_plan([np.array(rows)], split="train", **given | settings)


@pytest.mark.parametrize("rows", [[16, 0, 7], [5], [1, 1, 1, 1, 1, 1, 1]])
def test_shards_are_as_long_as_each_other_and_have_every_row(rows):
    made = plan(rows)
    shards = [range(*made.shard(index)) for index in range(made.world_size * made.workers)]
    assert len({len(shard) for shard in shards}) == 1
    assert sorted({row for shard in shards for row in shard}) == list(range(sum(rows)))
    twice = [index for index in range(1, len(shards)) if shards[index].start < shards[index - 1].stop]
    assert twice == [index for index in range(len(shards)) if made.repeats(index)]


def test_segments_are_the_parts_of_row_groups_in_the_epochs_order():
    made = plan([7, 2, 9, 0, 4])
    assert made.segments(made.order(0), 5, 19) == [
        Segment(0, 0, 5, 2), Segment(0, 1, 0, 2), Segment(0, 2, 0, 9), Segment(0, 4, 0, 1)
    ]  # fmt: skip
    shuffled = plan([7, 2, 9, 0, 4], shuffle_rows=8)
    assert sorted(shuffled.order(1)) == list(range(5)) and shuffled.order(1).tolist() != shuffled.order(2).tolist()
    rows = sum(s.rows for s in shuffled.segments(shuffled.order(1), 3, 20))
    assert rows == 17


def test_windows_are_whole_batches_and_cover_a_shard():
    made = plan([50], workers=1, shuffle_rows=10)
    windows = [made.window(0, number) for number in range(made.num_windows)]
    assert windows == [(0, 8), (8, 16), (16, 24), (24, 25)] and made.batches_per_shard == 7
    assert sorted(made.permutation(0, 0, 1, 8)) == list(range(8))
