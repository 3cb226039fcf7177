"""Every column type that is accepted gives the same values."""

import numpy as np
import pyarrow as pa
import pytest
from recsys.features.decode import decode, gather_bags

from recsys.features.batch_assembly import table_rows
from recsys.features.columns import Field, readable_as
from recsys.schema import TableSchema

INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]


def read(array: pa.Array, kind: str, max_length: int | None = None):
    assert readable_as(array.type, kind)
    return decode(Field("c", kind, max_length), array, "'f', row group 0", lambda column: -1)


def numpy_kind(kind: pa.DataType) -> np.dtype:
    return pa.array([], kind).to_numpy().dtype  # to_pandas_dtype needs pandas


@pytest.mark.parametrize("offset", [0, 2])
@pytest.mark.parametrize("kind", INTEGERS, ids=str)
def test_integers(kind, offset):
    got = read(pa.array([5, 0, 127, 3], kind)[offset:], "id")
    assert got.dtype == np.int64 and got.tolist() == [5, 0, 127, 3][offset:]


@pytest.mark.parametrize("kind", [pa.bool_(), pa.int8(), pa.uint32(), pa.float16(), pa.float64()], ids=str)
def test_labels(kind):
    values = [True, False, False, True] if kind == pa.bool_() else np.array([1, 0, 0, 1], numpy_kind(kind))
    got = read(pa.array(values, kind)[1:], "label")
    assert got.dtype == np.float32 and got.tolist() == [0, 0, 1]


@pytest.mark.parametrize("kind", [pa.bool_(), pa.int64(), pa.float16(), pa.float32(), pa.float64()], ids=str)
def test_floats(kind):
    values = [True, False] if kind == pa.bool_() else np.array([1, 0], numpy_kind(kind))
    got = read(pa.array(values, kind), "float")
    assert got.dtype == np.float32 and got.tolist() == [1, 0]


LISTS = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]


@pytest.mark.parametrize("inner", [pa.int64(), pa.int32(), pa.uint8()], ids=str)
@pytest.mark.parametrize("make", [pa.list_, pa.large_list, lambda inner: pa.list_(inner, 3)])
@pytest.mark.parametrize("limit", [None, 3, 2])
@pytest.mark.parametrize("cut", [slice(None), slice(1, 3), slice(0, 0)])
def test_lists(inner, make, limit, cut):
    got = read(pa.array(LISTS, make(inner))[cut], "list", limit)
    wanted = LISTS[cut]
    assert got.values.dtype == got.lengths.dtype == np.int64
    assert got.values.tolist() == [v for bag in wanted for v in bag[-(limit or 9) :]]
    assert got.lengths.tolist() == [min(limit or 9, 3)] * len(wanted)
    assert got.cut.tolist() == [limit == 2] * len(wanted)


def test_lists_of_many_lengths_keep_the_newest():
    bags = [[], [1], list(range(9)), [], [5, 6, 7], list(range(4, 9))]
    got = read(pa.array(bags, pa.list_(pa.int64())), "list", 3)
    assert got.values.tolist() == [1, 6, 7, 8, 5, 6, 7, 6, 7, 8]
    assert got.lengths.tolist() == [0, 1, 3, 0, 3, 3]
    assert got.cut.tolist() == [False, False, True, False, False, True]


NO_IDS = [pa.float32(), pa.string(), pa.bool_(), pa.timestamp("s"), pa.list_(pa.int64())]


@pytest.mark.parametrize("kind", NO_IDS, ids=str)
def test_what_is_no_id(kind):
    assert not readable_as(kind, "id")


def test_gather_bags():
    values = np.arange(100) * 10
    got = gather_bags(values, np.array([7, 0, 98, 5]), np.array([2, 0, 2, 1]))
    assert got.tolist() == [70, 80, 980, 990, 50]
    assert gather_bags(values, np.zeros(0, np.int64), np.zeros(0, np.int64)).tolist() == []


@pytest.mark.parametrize("rows", [1, 7, 16, 1 << 40])
def test_modulo_is_never_negative_for_any_int64(rows):
    ids = [0, 1, -1, 6, 7, 15, 16, -7, -16, 123456789, -(1 << 63), (1 << 63) - 1, -(1 << 62) - 5]
    out = np.empty(len(ids), np.int64)
    table_rows(np.array(ids), TableSchema(num_embeddings=rows), out)
    assert out.tolist() == [i % rows for i in ids]


def test_modulo_of_ids_up_to_the_number_of_rows():
    out = np.empty(3, np.int64)
    table_rows(np.array([0, 6, 7]), TableSchema(num_embeddings=7), out)
    assert out.tolist() == [0, 6, 0]
