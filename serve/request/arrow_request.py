"""Arrow IPC requests: two streams end to end, the context's one row and the candidates' N, into columns."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import pyarrow as pa

from embeddings.errors import InputError, shown
from recsys.features.arrow_columns import WANTED, arrow_values, nulls, readable_as
from recsys.features.columns import Field
from recsys.features.ragged import Ragged
from serve.request.arrow_stream import read_stream, readable

_UNREAD_COLUMNS = 8  # that a request may have besides: label, user, timestamp, or a typing error to be named
_FORMAT = "two Arrow IPC streams, the context's and the candidates'"


def arrow_columns(
    fields: Mapping[str, Field], body: bytes, most_rows: int
) -> tuple[dict[str, np.ndarray | Ragged], dict[str, np.ndarray | Ragged]]:
    """Columns of the context and of the candidates.

    Args:
        fields: column -> how features read it; other columns are left unread, for their names to be refused.
        most_rows: of the candidates.

    Raises InputError where ``body`` is not what is wanted.
    """
    source = pa.BufferReader(body)
    sides = []
    for side, most in (("context", 1), ("candidates", most_rows)):
        with readable(side, _FORMAT):
            sides.append(_stream(fields, side, source, most))
    if source.tell() != len(body):
        raise InputError(f"{len(body) - source.tell()} bytes follow the candidates; wanted {_FORMAT}")
    return sides[0], sides[1]


def _stream(
    fields: Mapping[str, Field], side: str, source: pa.BufferReader, most_rows: int
) -> dict[str, np.ndarray | Ragged]:
    """Columns of the stream that begins where ``source`` is, which is then at its end."""
    names: list[str] = []

    def wanted(schema: pa.Schema) -> list[int]:
        _check_columns(fields, side, schema)
        names.extend(schema.names)
        return [i for i, name in enumerate(schema.names) if name in fields]

    table, rows = read_stream(side, source, wanted, most_rows, _FORMAT)
    unread = np.zeros(rows, np.int64)  # the same for all, whose names are refused or ignored later
    columns: dict[str, np.ndarray | Ragged] = dict.fromkeys(names, unread)
    for name, column in zip(table.column_names, table.columns, strict=True):
        array = column.chunk(0) if column.num_chunks else pa.array([], column.type)
        columns[name] = arrow_values(name, array, side, partial(_nulls, array))
    return columns


def _check_columns(fields: Mapping[str, Field], side: str, schema: pa.Schema) -> None:
    if len(schema) > len(fields) + _UNREAD_COLUMNS:
        raise InputError(
            f"{side}: it has {len(schema):,} columns; allowed: the {len(fields)} that features read, and "
            f"{_UNREAD_COLUMNS} more"
        )
    seen = set()
    for column in schema:
        if column.name in seen:
            raise InputError(f"{side}: column {shown(column.name)} is there twice")
        seen.add(column.name)
        field = fields.get(column.name)
        if field is not None and not readable_as(column.type, field.kind):
            raise InputError(
                f"{side}: column '{column.name}' is {shown(str(column.type))}; wanted {WANTED[field.kind]}"
            )


def _nulls(array: pa.Array, _: str) -> int:
    return nulls(array)
