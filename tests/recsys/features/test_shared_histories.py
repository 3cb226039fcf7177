"""Equal histories are shared, and only those."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import recsys.features.shared_histories
from recsys.features.ragged import Ragged
from recsys.features.shared_histories import deduplicate_bags


def deduplicated(bags: list[list[int]]) -> tuple[list[int], list[int]] | None:
    result = deduplicate_bags(Ragged.from_lists(bags))
    return None if result is None else (result[0].tolist(), result[1].tolist())


def naive(bags: list[list[int]]) -> tuple[list[int], list[int]] | None:
    firsts = [bags.index(bag) for bag in bags]
    distinct = sorted(set(firsts))
    return None if len(distinct) == len(bags) else (distinct, [distinct.index(f) for f in firsts])


def test_by_hand() -> None:
    assert deduplicated([[5, 6], [7], [5, 6], [], [6, 5], []]) == ([0, 1, 3, 4], [0, 1, 0, 2, 3, 2])


@pytest.mark.parametrize(
    "bags", [[], [[]], [[1]], [[1], [2]], [[1, 2], [2, 1]], [[0], [0, 0]], [[1], [-1]], [[], [0]]], ids=str
)
def test_all_different(bags: list[list[int]]) -> None:
    assert deduplicated(bags) is None


@given(st.lists(st.lists(st.integers(-2, 2), max_size=3), max_size=12))
def test_any_bags(bags: list[list[int]]) -> None:
    assert deduplicated(bags) == naive(bags)


@pytest.mark.parametrize("bags", [[[1, 2], [3, 4], [1, 2]], [[1], [1, 1], [1]]], ids=str)
def test_hashes_that_collide_group_nothing(bags: list[list[int]], monkeypatch) -> None:
    for name in ("_VALUE", "_PLACE"):  # every hash is 0
        monkeypatch.setattr(recsys.features.shared_histories, name, np.uint64(0))
    assert deduplicated(bags) is None
