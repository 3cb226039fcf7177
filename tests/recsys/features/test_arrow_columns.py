"""Every Arrow type that is accepted gives the same values, up to the block of rows."""

import numpy as np
import pyarrow as pa
import pytest

from recsys.features.arrow_columns import arrow_values, readable_as
from recsys.features.columns import Field
from recsys.features.raw_columns import build_row_block
from recsys.features.row_block import RowBlock
from recsys.schema import Schema

SCHEMA = Schema.model_validate(
    {
        "tables": {"item": {"num_embeddings": 5}},
        "features": [{"name": "item", "kind": "id", "table": "item"}],
    }
)
INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]


def block(array: pa.Array, field: Field) -> RowBlock:
    assert readable_as(array.type, field.kind)
    values = arrow_values("c", array, "'f', row group 0", lambda column: -1)
    return build_row_block(SCHEMA, [field], {"c": values}, "'f', row group 0")


def read(array: pa.Array, kind: str):
    field = Field("c", kind)
    return block(array, field).columns[field]


def numpy_kind(kind: pa.DataType) -> np.dtype:
    return pa.array([], kind).to_numpy().dtype  # to_pandas_dtype needs pandas


@pytest.mark.parametrize("offset", [0, 2])
@pytest.mark.parametrize("kind", INTEGERS, ids=str)
def test_integers(kind, offset):
    ids = read(pa.array([5, 0, 127, 3], kind)[offset:], "id")
    assert ids.dtype == np.int64 and ids.tolist() == [5, 0, 127, 3][offset:]


@pytest.mark.parametrize("kind", [pa.bool_(), pa.int8(), pa.uint32(), pa.float16(), pa.float64()], ids=str)
def test_labels(kind):
    values = [True, False, False, True] if kind == pa.bool_() else np.array([1, 0, 0, 1], numpy_kind(kind))
    labels = read(pa.array(values, kind)[1:], "label")
    assert labels.dtype == np.float32 and labels.tolist() == [0, 0, 1]


@pytest.mark.parametrize("kind", [pa.bool_(), pa.int64(), pa.float16(), pa.float32(), pa.float64()], ids=str)
def test_floats(kind):
    values = [True, False] if kind == pa.bool_() else np.array([1, 0], numpy_kind(kind))
    floats = read(pa.array(values, kind), "float")
    assert floats.dtype == np.float32 and floats.tolist() == [1, 0]


LISTS = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]


@pytest.mark.parametrize("inner", [pa.int64(), pa.int32(), pa.uint8()], ids=str)
@pytest.mark.parametrize("make", [pa.list_, pa.large_list, lambda inner: pa.list_(inner, 3)])
@pytest.mark.parametrize("limit", [None, 3, 2])
@pytest.mark.parametrize("cut", [slice(None), slice(1, 3), slice(0, 0)])
def test_lists(inner, make, limit, cut):
    field = Field("c", "list", limit)
    rows = block(pa.array(LISTS, make(inner))[cut], field)
    column = rows.columns[field]
    wanted = LISTS[cut]
    assert column.values.dtype == column.offsets.dtype == np.int64
    assert column.values.tolist() == [v for bag in wanted for v in bag[-(limit or 9) :]]
    assert column.lengths.tolist() == [min(limit or 9, 3)] * len(wanted)
    assert {f: c.tolist() for f, c in rows.truncated.items()} == ({field: [limit == 2] * len(wanted)} if limit else {})


NO_IDS = [pa.float32(), pa.string(), pa.bool_(), pa.timestamp("s"), pa.list_(pa.int64())]


@pytest.mark.parametrize("kind", NO_IDS, ids=str)
def test_what_is_no_id(kind):
    assert not readable_as(kind, "id")
