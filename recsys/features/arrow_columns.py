"""Arrow columns into plain numpy arrays, the input of ``raw_columns``: which types can be read, and no nulls."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from embeddings.errors import InputError
from recsys.features.columns import Kind
from recsys.features.ragged import Ragged
from recsys.features.raw_columns import NEXT_STEP

WANTED = {
    "label": "an integer, bool or float column of 0 and 1",
    "id": "an integer column",
    "list": "a list of integers",
    "float": "a float, integer or bool column",
}
_LISTS = (pa.ListArray, pa.LargeListArray, pa.FixedSizeListArray)


def readable_as(got: pa.DataType, kind: Kind) -> bool:
    """Whether a column of arrow type ``got`` can be read as ``kind``; WANTED says what can.

    The type null, of whose values none is known, holds nulls alone, which ``arrow_values`` refuses in its own words.
    """
    if pt.is_null(got):
        return True
    if kind == "id":
        return pt.is_integer(got)
    if kind == "list":
        listed = pt.is_list(got) or pt.is_large_list(got) or pt.is_fixed_size_list(got)
        return listed and (pt.is_integer(got.value_type) or pt.is_null(got.value_type))
    return pt.is_integer(got) or pt.is_floating(got) or pt.is_boolean(got)


def arrow_values(column: str, array: pa.Array, place: str, count_nulls: Callable[[str], int]) -> np.ndarray | Ragged:
    """The values of one column of R rows: [R] of the column's own type, or Ragged of R bags.

    They are not copied where Arrow and numpy lay them out alike.

    Args:
        place: file and row group, for messages.
        count_nulls: counts the nulls of a column in the whole row group; called only for the message.

    Raises InputError for nulls.
    """
    inner = array.flatten() if isinstance(array, _LISTS) else None
    if array.null_count or (inner is not None and inner.null_count):
        raise InputError(
            f"{place}, column '{column}': got {count_nulls(column)} nulls, none are allowed; fill them, or {NEXT_STEP}"
        )
    if inner is None:
        return array.to_numpy(zero_copy_only=False)
    if pt.is_null(inner.type):  # all lists are empty
        inner = inner.cast(pa.int64())
    lengths = pc.list_value_length(array).to_numpy(zero_copy_only=False)
    return Ragged.from_lengths(inner.to_numpy(zero_copy_only=False), lengths)


def nulls(array: pa.Array) -> int:
    """Nulls in ``array`` and, for a list, inside its lists."""
    inner = array.flatten().null_count if isinstance(array, _LISTS) else 0
    return array.null_count + inner
