"""Ragged arrays against Python's lists of lists."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.features.ragged import Ragged, ranges

BAGS = st.lists(st.lists(st.integers(-9, 9), max_size=4), max_size=6)


def lists(ragged: Ragged) -> list[list[int]]:
    assert ragged.values.dtype == ragged.offsets.dtype == np.int64 and ragged.offsets[0] == 0
    assert ragged.offsets[-1] == ragged.values.size and ragged.lengths.tolist() == np.diff(ragged.offsets).tolist()
    return [ragged.values[a:b].tolist() for a, b in zip(ragged.offsets, ragged.offsets[1:], strict=False)]


def test_by_hand():
    bags = Ragged.from_lists([[7, 7, 3], [], [9, 4], [5]])
    assert bags.values.tolist() == [7, 7, 3, 9, 4, 5] and bags.offsets.tolist() == [0, 3, 3, 5, 6] and len(bags) == 4


@given(BAGS, st.data())
def test_rows(bags: list[list[int]], data: st.DataObject):
    ragged = Ragged.from_lists(bags)
    assert lists(ragged) == bags
    index = data.draw(st.lists(st.integers(0, len(bags) - 1), max_size=8)) if bags else []
    assert lists(ragged.take(np.array(index, np.int64))) == [bags[i] for i in index]
    start, stop = (data.draw(st.integers(0, len(bags) + 1)) for _ in range(2))
    assert lists(ragged.take(slice(start, stop))) == bags[start:stop]
    assert ragged.take(slice(None)).values.base is not None, "a slice is a view"


@given(BAGS, st.integers(1, 3))
def test_newest(bags: list[list[int]], length: int):
    assert lists(Ragged.from_lists(bags).newest(length)) == [bag[-length:] for bag in bags]


@given(BAGS)
def test_where(bags: list[list[int]]):
    ragged = Ragged.from_lists(bags)
    assert lists(ragged.where(ragged.values > 0)) == [[v for v in bag if v > 0] for bag in bags]


@given(st.lists(BAGS, min_size=1, max_size=3))
def test_concatenate(parts: list[list[list[int]]]):
    whole = Ragged.concatenate([Ragged.from_lists(bags) for bags in parts])
    assert lists(whole) == [bag for bags in parts for bag in bags]


def test_ranges_may_overlap_and_be_empty():
    source = np.arange(100) * 10
    starts, ends = np.array([7, 0, 98, 5, 7]), np.array([9, 0, 100, 6, 9])
    assert ranges(starts, ends).tolist() == [7, 8, 98, 99, 5, 7, 8]
    assert lists(Ragged.from_ranges(source, starts, ends)) == [[70, 80], [], [980, 990], [50], [70, 80]]
    none = np.zeros(0, np.int64)
    assert lists(Ragged.from_ranges(source, none, none)) == []


def test_a_slice_with_a_step_is_a_defect():
    with pytest.raises(AssertionError, match="no step"):
        Ragged.from_lists([[1], [2], [3]]).take(slice(0, 3, 2))
