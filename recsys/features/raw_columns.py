"""Raw columns, plain arrays by name, into a block of rows: every value is checked, and lists are cut to max_length.

The first step of the way from rows to a ``Batch``, for rows of a file and rows of a request alike; see the package.
All work is by whole columns.
"""

from collections.abc import Mapping

import numpy as np

from embeddings.errors import InputError
from recsys.features.columns import Field, feature_field
from recsys.features.ragged import Ragged
from recsys.features.row_block import Column, RowBlock
from recsys.schema import Schema

NEXT_STEP = "fix or drop these rows"


def build_row_block(
    schema: Schema,
    fields: list[Field],
    arrays: Mapping[str, np.ndarray | Ragged],
    place: str,
    *,
    identity_ids_alone: bool = True,
) -> RowBlock:
    """The block of R rows that ``arrays`` hold.

        arrays  column name -> [R] integers, bools or floats, or Ragged of R bags of integers; more columns than
                ``fields`` name are left alone

    Args:
        fields: what to read, as ``columns.needed_fields`` has it.
        place: where the rows are from, for messages, such as a file and its row group.
        identity_ids_alone: refuse ids outside of an identity table; false where such ids are looked up as unknown ones.

    Raises InputError for labels other than 0 and 1, floats that are not finite in float32, ids that are no integers or
    beyond int64, and ids outside an identity table.
    """
    columns: dict[Field, Column] = {}
    truncated: dict[Field, np.ndarray] = {}
    for field in fields:
        values, where = arrays[field.column], f"{place}, column '{field.column}'"
        if field.kind == "list":
            assert isinstance(values, Ragged), f"{where}: lists are Ragged"
            bags = Ragged(_int64(values.values, where), values.offsets)
            if field.max_length:
                truncated[field] = bags.lengths > field.max_length
                bags = bags.newest(field.max_length)
            columns[field] = bags
        else:
            assert isinstance(values, np.ndarray), f"{where}: single values are an array"
            columns[field] = _SINGLE[field.kind](values, where)
    sizes = {len(column) for column in columns.values()}
    assert len(sizes) == 1, f"{place}: columns of different lengths"
    for feature in schema.features if identity_ids_alone else ():
        field = feature_field(feature)
        if feature.table and field in columns and (table := schema.tables[feature.table]).ids == "identity":
            _check_identity(feature.name, feature.table, table.num_embeddings, columns[field], place)
    return RowBlock(sizes.pop(), columns, truncated)


def _int64(values: np.ndarray, where: str) -> np.ndarray:
    if values.dtype.kind not in "iu":
        raise InputError(f"{where}: got ids of type {values.dtype}, wanted integers; cast them")
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


def _float32(values: np.ndarray, where: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        result = values.astype(np.float32)
    wrong = ~np.isfinite(result)
    if wrong.any():
        raise InputError(
            f"{where}: {int(wrong.sum())} values are not finite in float32, got {values[wrong][0]}; "
            f"fill or rescale them, or {NEXT_STEP}"
        )
    return result


_SINGLE = {"id": _int64, "label": _label, "float": _float32}


def _check_identity(feature: str, table: str, rows: int, column: Column, place: str) -> None:
    """Raise InputError unless all ids of ``column`` are rows of an identity table, 0 to ``rows`` - 1."""
    ids = column.values if isinstance(column, Ragged) else column
    if ids.size and (ids.min() < 0 or ids.max() >= rows):
        wrong = ids[(ids < 0) | (ids >= rows)]
        raise InputError(
            f"{place}, feature '{feature}': got id {wrong[0]} ({wrong.size} such), allowed are 0 to {rows - 1} as "
            f"table '{table}' takes ids as rows; raise its num_embeddings, or set its ids to modulo, in schema.yaml"
        )
