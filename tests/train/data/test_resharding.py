"""Going on with other ranks or batches: no row is lost, and where a step has as many rows, it has the same rows."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embeddings.errors import InputError
from tests.train.data.rows import steps, write_split

# ranks, rows a step and rank, reading threads


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
