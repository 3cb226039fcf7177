"""Ids to rows against a dict, over every way of looking up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from embeddings.frozen.id_index import RowIndex

LOWEST, HIGHEST = -(2**63), 2**63 - 1
INT64 = st.integers(LOWEST, HIGHEST)


def _expected(ids: np.ndarray, queries: np.ndarray) -> list[int]:
    rows = {int(i): row for row, i in enumerate(ids)}
    return [rows.get(int(q), -1) for q in queries]


@pytest.mark.parametrize(
    "ids",
    [
        [5],
        [HIGHEST],
        [LOWEST],
        [3, 4, 5, 6],  # no gap
        [-2, -1, 0, 1],
        [HIGHEST - 1, HIGHEST],
        [LOWEST, LOWEST + 1],
        [0, 3, 5, 15],  # a table
        [LOWEST, LOWEST + 5],
        [HIGHEST - 7, HIGHEST],
        [0, 16, 10**6],  # binary search
        [LOWEST, -1, 0, HIGHEST],
        [LOWEST, LOWEST + 1, 10**15, HIGHEST],
    ],
)
def test_rows_of_held_neighbouring_and_extreme_ids(ids: list[int]) -> None:
    held = np.array(ids, dtype=np.int64)
    near = [i + d for i in ids for d in (-1, 0, 1) if LOWEST <= i + d <= HIGHEST]
    queries = np.array([*near, LOWEST, HIGHEST, 0, -1], dtype=np.int64)
    rows = RowIndex(held).rows(queries)
    assert rows.dtype == np.int64
    assert rows.tolist() == _expected(held, queries)


@given(
    ids=hnp.arrays(np.int64, st.integers(1, 40), elements=st.one_of(INT64, st.integers(-30, 30)), unique=True),
    queries=hnp.arrays(np.int64, st.integers(0, 40), elements=st.one_of(INT64, st.integers(-30, 30))),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_rows_match_a_dict(ids: np.ndarray, queries: np.ndarray, data: st.DataObject) -> None:
    ids = np.sort(ids)
    picked = data.draw(st.lists(st.sampled_from(ids.tolist()), max_size=10))
    queries = np.concatenate([queries, np.array(picked, dtype=np.int64)])
    assert RowIndex(ids).rows(queries).tolist() == _expected(ids, queries)


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_shape_is_kept_and_empty_is_empty(step: int) -> None:
    index = RowIndex(np.arange(10, dtype=np.int64) * step)
    assert index.rows(np.empty((0,), np.int64)).shape == (0,)
    assert index.rows(np.array([[0, step], [5 * step, -1]])).tolist() == [[0, 1], [5, -1]]
    assert index.rows(np.arange(20, dtype=np.int64)[::2] * step).tolist() == [0, 2, 4, 6, 8] + [-1] * 5


def test_other_integer_types_are_our_defect() -> None:
    with pytest.raises(AssertionError, match="int32"):
        RowIndex(np.array([1, 2])).rows(np.array([1], dtype=np.int32))
