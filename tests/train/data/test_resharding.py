"""Going on with other ranks or batches: no row is lost, and where a step has as many rows, it has the same rows."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embeddings.errors import InputError
from tests.train.data.rows import write_split

# ranks, rows a step and rank, reading threads
Cut = tuple[int, int, int]


def steps(reader, cut: Cut, shuffle_rows: int, epoch: int, state: dict | None = None, limit: int | None = None):
    """For each step from ``state`` on, the rows of all ranks, rank by rank; and the position then."""
    ranks, batch_size, workers = cut
    per_rank, states, at_ends = [], [], []
    for rank in range(ranks):
        row_reader = reader(
            batch_size=batch_size, workers=workers, world_size=ranks, rank=rank, shuffle_rows=shuffle_rows, seed=3
        )
        if state:
            row_reader.load_state_dict(state)
        start = row_reader.batch_index if state and state["epoch"] == epoch else 0
        batches = row_reader.epoch(epoch, start)
        stop = row_reader.num_batches if limit is None else min(start + limit, row_reader.num_batches)
        per_rank.append([next(batches).extra["time"].tolist() for _ in range(start, stop)])
        batches.close()
        states.append(row_reader.state_dict(epoch, stop))
        at_ends.append(stop == row_reader.num_batches)
    assert all(s == states[0] for s in states) and len({len(p) for p in per_rank}) == 1
    for step in zip(*per_rank, strict=True):
        assert len({len(rows) for rows in step}) == 1, "ranks have batches of one size"
    return [[list(rows) for rows in step] for step in zip(*per_rank, strict=True)], states[0]


def together(step: list[list[int]]) -> list[int]:
    return sorted(row for rows in step for row in rows)


@pytest.mark.parametrize("shuffle_rows", [0, 12])
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("stops", [(0, 1), (1, 0), (2, 3), (3, 2), (5, 1)])
def test_the_same_steps_on_one_rank_then_on_four(tmp_path, reader, shuffle_rows, workers, stops):
    write_split(tmp_path, [33, 31], group=7)
    first, one, four = (2, 4, workers), (1, 8, 1), (4, 2, 2)
    whole, _ = steps(reader, first, shuffle_rows, 1)
    head, state = steps(reader, first, shuffle_rows, 1, limit=stops[0])
    middle, state = steps(reader, one, shuffle_rows, 1, state, limit=stops[1])
    tail, state = steps(reader, four, shuffle_rows, 1, state)
    assert [together(s) for s in head + middle + tail] == [together(s) for s in whole]
    following, _ = steps(reader, four, shuffle_rows, 2, state)
    assert [together(s) for s in following] == [together(s) for s in steps(reader, first, shuffle_rows, 2)[0]]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.integers(1, 30), min_size=1, max_size=3),
    cuts=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 2)), min_size=2, max_size=3),
    stops=st.lists(st.integers(0, 4), min_size=3, max_size=3),
    shuffle_rows=st.sampled_from([0, 9]),
)
def test_no_row_is_lost(tmp_path_factory, reader, tmp_path, rows, cuts, stops, shuffle_rows):
    if sum(rows) < 4:
        rows = [*rows, 4]
    for old in tmp_path.glob("train/*"):
        old.unlink()
    write_split(tmp_path, rows, group=5)
    done, state, repeats = [], None, 0
    for number, (cut, stop) in enumerate(zip(cuts, stops, strict=False)):
        last = number == len(cuts) - 1
        try:
            some, state = steps(reader, cut, shuffle_rows, 0, state, None if last else stop)
        except InputError as error:
            assert "set data.batch_size to a multiple of " in str(error)
            multiple = int(str(error).split("to a multiple of ")[1].split(",")[0])
            cut = (cut[0], multiple, cut[2])
            some, state = steps(reader, cut, shuffle_rows, 0, state, None if last else stop)
        done += some
        repeats += cut[0] * len(some)
    seen = Counter(row for step in done for row in together(step))
    assert set(seen) == set(range(sum(rows)))
    shards = state["logical_shards"]["world_size"] * state["logical_shards"]["workers"]
    assert sum(seen.values()) - len(seen) <= repeats + shards


def test_a_row_is_taken_again_only_where_it_must(tmp_path, reader):
    """64 rows on 2 ranks, then on 4 with other batches: everything divides, so every row is seen once."""
    write_split(tmp_path, [64], group=7)
    head, state = steps(reader, (2, 4, 1), 12, 0, limit=3)
    tail, _ = steps(reader, (4, 4, 1), 12, 0, state)
    seen = Counter(row for step in head + tail for row in together(step))
    assert set(seen.values()) == {1} and len(seen) == 64
    assert [len(together(s)) for s in tail] == [8, 16, 16], "the first completes a step of the new size"


def test_a_new_epoch_with_other_steps_has_an_order_of_its_own(tmp_path, reader):
    write_split(tmp_path, [64], group=7)
    _, state = steps(reader, (2, 4, 1), 12, 0, limit=3)
    _, state = steps(reader, (4, 4, 1), 12, 0, state)
    after, state = steps(reader, (4, 4, 1), 12, 1, state, limit=1)
    assert after == steps(reader, (4, 4, 1), 12, 1, limit=1)[0]
    assert state["logical_shards"] == {"world_size": 4, "workers": 1, "batch_size": 4}
    again, _ = steps(reader, (4, 4, 1), 12, 1, state)
    assert after + again == steps(reader, (4, 4, 1), 12, 1)[0]


def test_a_position_of_an_older_checkpoint_is_read(tmp_path, reader):
    """Logical shards were called lanes."""
    write_split(tmp_path, [64], group=7)
    _, state = steps(reader, (2, 4, 1), 12, 0, limit=3)
    old = {"lanes" if key == "logical_shards" else key: value for key, value in state.items()}
    assert "lanes" in old
    assert steps(reader, (1, 8, 1), 12, 0, old) == steps(reader, (1, 8, 1), 12, 0, state)


def test_rows_of_a_step_that_do_not_divide(tmp_path, reader, caplog):
    write_split(tmp_path, [64])
    _, state = steps(reader, (4, 4, 1), 0, 0, limit=2)
    with pytest.raises(
        InputError, match=r"3 ranks with 5 rows each .* 15 rows .* the 4 ranks .* multiple of 4, such as 4"
    ):
        reader(world_size=3, batch_size=5, seed=3).load_state_dict(state)
    caplog.clear()
    reader(world_size=2, batch_size=8, seed=3).load_state_dict(state)
    assert "going on in the order of 4 ranks with 4 rows each" in caplog.text


def test_the_position_in_words(tmp_path, reader):
    """Row groups of 4 and batches of 4: batch b of logical shard s is row group 8 s + b."""
    write_split(tmp_path, [64], group=4)
    _, state = steps(reader, (2, 4, 1), 0, 0, limit=2)
    one = reader(world_size=1, batch_size=8, seed=3)
    one.load_state_dict(state)
    assert one.batch_index == 2 and one.position(3).row_group == 3
    fourth = reader(world_size=4, batch_size=2, rank=3, seed=3)
    fourth.load_state_dict(state)
    assert fourth.position(3).row_group == 11
