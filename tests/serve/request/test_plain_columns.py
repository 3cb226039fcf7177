"""Plain values as columns: numbers and lists of them, and what nobody should send."""

import resource
from typing import Any

import numpy as np
import pytest

from embeddings.errors import InputError
from recsys.features.columns import Field
from recsys.features.ragged import Ragged
from serve.request.plain_columns import candidate_columns, context_columns

FIELDS = {"item": Field("item", "id"), "price": Field("price", "float"), "tags": Field("tags", "list", 3)}


def refused(column: str, values: Any) -> str:
    with pytest.raises(InputError) as caught:
        candidate_columns(FIELDS, {column: values})
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500 and message.startswith("candidates: column ")
    return message


def test_numbers_and_lists():
    got = candidate_columns(
        FIELDS, {"item": [1, -(2**63), 2**63 - 1], "price": [1, 0.5, True], "tags": [[], [3], [4, 5]]}
    )
    assert got["item"].tolist() == [1, -(2**63), 2**63 - 1] and got["item"].dtype == np.int64
    assert got["price"].tolist() == [1.0, 0.5, 1.0]
    assert isinstance(got["tags"], Ragged)
    assert got["tags"].values.tolist() == [3, 4, 5] and got["tags"].lengths.tolist() == [0, 1, 2]


def test_whole_numbers_stay_whole_for_features_that_read_the_column_as_ids_too():
    got = candidate_columns(FIELDS, {"price": [2**62 + 1, 3]})["price"]
    assert got.dtype == np.int64 and got.tolist() == [2**62 + 1, 3]


def test_a_context_is_one_row():
    got = context_columns(FIELDS, {"item": 7, "price": 0.25, "tags": [1, 2, 3, 4]})
    assert got["item"].tolist() == [7] and got["price"].tolist() == [0.25]
    assert got["tags"].values.tolist() == [1, 2, 3, 4] and len(got["tags"]) == 1
    empty = context_columns(FIELDS, {"tags": []})["tags"]
    assert empty.values.size == 0 and empty.values.dtype == np.int64 and len(empty) == 1


def test_arrays_and_numbers_of_numpy():
    given = {
        "item": np.array([1, 2], np.uint8),
        "price": [np.float32(0.5), np.int64(2)],
        "tags": [np.array([1, 2]), (np.int64(3),)],
    }
    got = candidate_columns(FIELDS, given)
    assert got["item"].tolist() == [1, 2] and got["price"].tolist() == [0.5, 2.0]
    assert got["tags"].values.tolist() == [1, 2, 3] and got["tags"].lengths.tolist() == [2, 1]
    assert context_columns(FIELDS, {"tags": np.arange(5)})["tags"].values.tolist() == [0, 1, 2, 3, 4]


def test_no_candidates():
    got = candidate_columns(FIELDS, {"item": [], "price": [], "tags": []})
    assert [len(column) for column in got.values()] == [0, 0, 0] and got["item"].dtype == np.int64


NO_IDS = {
    **{repr(value): value for value in (1.0, 1.5, "7", None, True, [1], {}, 2**70, -(2**63) - 1, b"1", 1j)},
    "nan": float("nan"),
    "an integer of 16,610 bits": 10**5000,
    "np.float64(1.0)": np.float64(1),
    "np.True_": np.bool_(True),
}


@pytest.mark.parametrize("shown", NO_IDS)
def test_what_is_no_id(shown):
    """Alone, and among others: numpy would take True for 1, and 1 beside 1.5 for 1.0."""
    value = NO_IDS[shown]
    for values in ([value], [5, value, 6]):
        assert f"column 'item' has {shown}; wanted an integer of 64 bits" in refused("item", values)
        message = refused("tags", [[5], values])
        assert f"column 'tags' has {shown}; wanted a list of integers of 64 bits" in message


@pytest.mark.parametrize("value", ["1", None, [1.0], {}, 10**400, 1j, b"1", "nan"], ids=lambda v: str(type(v)))
def test_what_is_no_number(value):
    for values in ([value], [0.5, value, 6]):
        assert "wanted a number" in refused("price", values)


def test_numbers_that_are_not_finite_are_left_to_the_features():
    """The same words as for rows of a file; see recsys/features/raw_columns.py."""
    got = candidate_columns(FIELDS, {"price": [float("nan"), float("inf"), 1e300, 10**300]})
    assert got["price"].dtype == np.float64 and got["price"].size == 4


@pytest.mark.parametrize("value", [1, "abc", None, {"a": 1}, 1.5, [[1]], [[1], 2], ["a"], [None], [1.0]])
def test_what_is_no_list_of_integers(value):
    assert "wanted a list of integers" in refused("tags", [[1], value])


@pytest.mark.parametrize("values", [1, "abc", None, {"0": 1}, 1.5, True])
def test_candidates_are_lists(values):
    assert "wanted a list, a value a candidate" in refused("item", values)


@pytest.mark.parametrize("given", [None, 1, "x", [], [1], {1: 2}, [("item", [1])]])
@pytest.mark.parametrize("side", [context_columns, candidate_columns])
def test_both_sides_are_objects(side, given):
    with pytest.raises(InputError, match="wanted an object of columns: names and values"):
        side(FIELDS, given)


@pytest.mark.parametrize(
    "array", [np.zeros((2, 2), int), np.zeros(2), np.array(["a"]), np.array([None]), np.zeros(2, bool)]
)
def test_arrays_of_other_kinds(array):
    assert "wanted an integer" in refused("item", array)
    assert "wanted a list of integers" in refused("tags", [array])


def test_columns_that_no_feature_reads_are_left_for_their_names_to_be_refused():
    got = candidate_columns(FIELDS, {"nobody's": ["x", None, {}]})
    assert got["nobody's"].shape == (3,)


def test_one_long_text_among_many_takes_no_room_a_value():
    """numpy would take 4 bytes for each character of the longest, for every value: 40 GB here."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "wanted an integer" in refused("item", ["x" * 1_000_000, *["y"] * 10_000])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10
