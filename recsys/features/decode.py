"""Arrow columns into numpy arrays, with every value checked. All work is by whole columns."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embeddings.errors import InputError
from recsys.features.columns import Field

NEXT_STEP = "mend or drop these rows"


@dataclass
class Ragged:
    """Lists of one column, one bag a row.

    values   [T]      int64, bag after bag
    lengths  [B]      int64
    cut      [B]      bool, true where older values were cut to reach the field's max_length
    """

    values: np.ndarray
    lengths: np.ndarray
    cut: np.ndarray


Column = np.ndarray | Ragged


def decode(field: Field, array: pa.Array, place: str, count_nulls: Callable[[str], int]) -> Column:
    """The values of one column.

        label  [B] float32   id  [B] int64   float  [B] float32   list  Ragged

    Args:
        place: file and row group, for messages.
        count_nulls: counts the nulls of a column in the whole row group; called only for the message.

    Raises InputError for nulls, labels other than 0 and 1, floats that are not finite in float32, and ids beyond int64.
    """
    where = f"{place}, column '{field.column}'"
    if array.null_count:
        raise _nulls(where, count_nulls(field.column))
    if field.kind == "list":
        return _ragged(field, array, where, count_nulls)
    values = array.to_numpy(zero_copy_only=False)
    if field.kind == "id":
        return _int64(values, where)
    return _label(values, where) if field.kind == "label" else _float(values, where)


def nulls(array: pa.Array) -> int:
    """Nulls in ``array`` and, for a list, inside its lists."""
    inner = array.flatten().null_count if isinstance(array, LISTS) else 0
    return array.null_count + inner


LISTS = (pa.ListArray, pa.LargeListArray, pa.FixedSizeListArray)


def gather_bags(values: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """``values[starts[b] : starts[b] + lengths[b]]`` of every bag b, laid end to end."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if ends.size else 0
    index = np.repeat(starts - (ends - lengths), lengths)
    index += np.arange(total)
    return values[index]


def _ragged(field: Field, array: pa.Array, where: str, count_nulls: Callable[[str], int]) -> Ragged:
    inner = array.flatten()
    if inner.null_count:
        raise _nulls(where, count_nulls(field.column))
    values = _int64(inner.to_numpy(zero_copy_only=False), where)
    lengths = pc.list_value_length(array).to_numpy(zero_copy_only=False).astype(np.int64)
    limit = field.max_length
    cut = lengths > limit if limit else np.zeros(len(lengths), dtype=bool)
    if limit and cut.any():
        ends = np.cumsum(lengths)
        lengths = np.minimum(lengths, limit)
        values = gather_bags(values, ends - lengths, lengths)
    return Ragged(values, lengths, cut)


def _int64(values: np.ndarray, where: str) -> np.ndarray:
    if values.dtype == np.uint64 and values.size and values.max() > np.iinfo(np.int64).max:
        raise InputError(f"{where}: got id {values.max()}, largest allowed is 2^63 - 1; write ids as int64")
    return values.astype(np.int64, copy=False)


def _label(values: np.ndarray, where: str) -> np.ndarray:
    wrong = (values != 0) & (values != 1)
    if wrong.any():
        got = np.unique(values[wrong])[:3].tolist()
        raise InputError(
            f"{where}: {int(wrong.sum())} labels are not 0 or 1, got {', '.join(map(str, got))}; "
            f"map them to 0 (no click) and 1 (click), or name the right column as 'label' in schema.yaml"
        )
    return values.astype(np.float32)


def _float(values: np.ndarray, where: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        result = values.astype(np.float32)
    wrong = ~np.isfinite(result)
    if wrong.any():
        raise InputError(
            f"{where}: {int(wrong.sum())} values are not finite in float32, got {values[wrong][0]}; "
            f"fill or rescale them, or {NEXT_STEP}"
        )
    return result


def _nulls(where: str, count: int) -> InputError:
    return InputError(f"{where}: got {count} nulls, none are allowed; fill them, or {NEXT_STEP}")


def check_identity(feature: str, table: str, rows: int, column: Column, place: str) -> None:
    """Raise InputError unless all ids of ``column`` are rows of an identity table, 0 to ``rows`` - 1."""
    ids = column.values if isinstance(column, Ragged) else column
    if ids.size and (ids.min() < 0 or ids.max() >= rows):
        wrong = ids[(ids < 0) | (ids >= rows)]
        raise InputError(
            f"{place}, feature '{feature}': got id {wrong[0]} ({wrong.size} such), allowed are 0 to {rows - 1} as "
            f"table '{table}' takes ids as rows; raise its num_embeddings, or set its ids to modulo, in schema.yaml"
        )
