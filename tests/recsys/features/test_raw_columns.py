"""Plain arrays into a block of rows: what is checked, what is cut, and no parquet file on the way."""

import subprocess
import sys

import numpy as np
import pytest

from embeddings.errors import InputError
from recsys.features.columns import Field, needed_fields
from recsys.features.ragged import Ragged
from recsys.features.raw_columns import build_row_block
from recsys.schema import Schema

SCHEMA = Schema.model_validate(
    {
        "tables": {"user": {"num_embeddings": 5}, "item": {"num_embeddings": 100, "ids": "identity"}},
        "features": [
            {"name": "user", "kind": "id", "table": "user"},
            {"name": "price", "kind": "dense"},
            {"name": "item", "kind": "id", "table": "item"},
            {"name": "history", "kind": "sequence", "table": "item", "target": "item", "max_length": 3},
        ],
    }
)
FIELDS = needed_fields(SCHEMA, with_labels=True)
HISTORY = Field("history", "list", 3)


def arrays(**changed) -> dict:
    """Two rows; what no field names is left alone."""
    rows = {
        "label": np.array([1, 0]),
        "user": np.array([-7, 8], np.int32),
        "price": np.array([0.5, 2.0]),
        "item": np.array([99, 0], np.uint64),
        "history": Ragged.from_lists([[1, 2, 3, 4], [5]]),
        "colour": np.array(["red", "blue"]),
    }
    return rows | changed


def test_types_and_truncation():
    block = build_row_block(SCHEMA, FIELDS, arrays(), "request 1")
    single = {f.column: block.columns[f] for f in FIELDS if f.kind != "list"}
    assert {name: str(column.dtype) for name, column in single.items()} == {
        "label": "float32", "user": "int64", "price": "float32", "item": "int64"
    }  # fmt: skip
    assert {name: column.tolist() for name, column in single.items()} == {
        "label": [1, 0], "user": [-7, 8], "price": [0.5, 2], "item": [99, 0]
    }  # fmt: skip
    history = block.columns[HISTORY]
    assert history.values.tolist() == [2, 3, 4, 5] and history.lengths.tolist() == [3, 1]
    assert block.truncated[HISTORY].tolist() == [True, False] and block.rows == 2 and block.filler is None


def test_lists_of_many_lengths_keep_the_newest():
    bags = [[], [1], list(range(9)), [], [5, 6, 7], list(range(4, 9))]
    block = build_row_block(SCHEMA, [HISTORY], {"history": Ragged.from_lists(bags)}, "request 1")
    assert block.columns[HISTORY].values.tolist() == [1, 6, 7, 8, 5, 6, 7, 6, 7, 8]
    assert block.columns[HISTORY].lengths.tolist() == [0, 1, 3, 0, 3, 3]
    assert block.truncated[HISTORY].tolist() == [False, False, True, False, False, True]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"label": np.array([1, 2])}, "request 1, column 'label': 1 labels are not 0 or 1, got 2"),
        ({"price": np.array([1e300, 1])}, r"column 'price': 1 values are not finite in float32, got 1e\+300; fill"),
        ({"user": np.array([1.0, 2.0])}, "column 'user': got ids of type float64, wanted integers; cast them"),
        ({"user": np.array([True, False])}, "got ids of type bool, wanted integers"),
        ({"user": np.array([2**63, 1], np.uint64)}, "got id 9223372036854775808, largest allowed"),
        ({"history": Ragged(np.array([0.5]), np.array([0, 1, 1]))}, "column 'history': got ids of type float64"),
        ({"item": np.array([3, -1])}, r"request 1, feature 'item': got id -1 \(1 such\), allowed are 0 to 99"),
        ({"history": Ragged.from_lists([[100, 1, 2, 3], [100, 3]])}, r"feature 'history': got id 100 \(1 such\)"),
    ],
)
def test_values_that_are_refused(changed, message):
    with pytest.raises(InputError, match=message):
        build_row_block(SCHEMA, FIELDS, arrays(**changed), "request 1")


def test_ids_outside_of_an_identity_table_may_be_taken_for_unknown_ones():
    given = arrays(item=np.array([3, -1]), history=Ragged.from_lists([[100, 1], [2**62]]))
    block = build_row_block(SCHEMA, FIELDS, given, "request 1", identity_ids_alone=False)
    assert block.columns[Field("item", "id")].tolist() == [3, -1]
    assert block.columns[HISTORY].values.tolist() == [100, 1, 2**62]


def test_plain_arrays_need_neither_arrow_nor_the_trainer():
    code = (
        "import sys\nimport recsys.features.raw_columns, recsys.features.columns, recsys.features.table_rows\n"
        "import recsys.features.shared_histories\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in ('pyarrow', 'train')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
