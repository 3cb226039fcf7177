"""Arrow IPC requests: two streams end to end, the context's one row and the candidates' N, into columns.

The bytes come from anybody. Compressed buffers are refused, as a few bytes of them may say that they hold gigabytes;
offsets are validated, as the reader does not look at them.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
import pyarrow as pa

from embeddings.errors import InputError, first_line, shown
from recsys.features.arrow_columns import WANTED, arrow_values, nulls, readable_as
from recsys.features.columns import Field
from recsys.features.ragged import Ragged

_COMPRESSION = 3  # the field of a RecordBatch
_MOST_BATCHES = 1000  # of a stream
_FORMAT = "two Arrow IPC streams, the context's and the candidates'"


def arrow_columns(
    fields: Mapping[str, Field], body: bytes
) -> tuple[dict[str, np.ndarray | Ragged], dict[str, np.ndarray | Ragged]]:
    """Columns of the context and of the candidates.

    Args:
        fields: column -> how features read it; other columns are left as they are, for their names to be refused.

    Raises InputError where ``body`` is not what is wanted.
    """
    source = pa.BufferReader(body)
    sides = []
    for side in ("context", "candidates"):
        try:
            sides.append(_columns(fields, side, _stream(source)))
        except (pa.ArrowException, OSError, ValueError, IndexError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{side}: no readable Arrow stream ({first_line(error)}); wanted {_FORMAT}") from None
    if source.tell() != len(body):
        raise InputError(f"{len(body) - source.tell()} bytes follow the candidates; wanted {_FORMAT}")
    return sides[0], sides[1]


def _stream(source: pa.BufferReader) -> pa.Table:
    start = source.tell()
    messages = pa.ipc.MessageReader.open_stream(source)
    count = 0
    while True:
        try:
            message = messages.read_next_message()
        except StopIteration:
            break
        count += 1
        if count > _MOST_BATCHES:
            raise InputError(f"a stream has more than {_MOST_BATCHES:,} messages; wanted {_FORMAT}")
        if message.type == "record batch" and _is_compressed(message.metadata):
            raise InputError("a record batch is compressed, which requests may not be; write it without")
    end = source.tell()
    if not count:
        raise InputError(f"a stream is missing; wanted {_FORMAT}")
    source.seek(start)
    table = pa.ipc.open_stream(source).read_all()
    source.seek(end)
    table.validate(full=True)
    return table.combine_chunks()


def _columns(fields: Mapping[str, Field], side: str, table: pa.Table) -> dict[str, np.ndarray | Ragged]:
    columns: dict[str, np.ndarray | Ragged] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name in columns:
            raise InputError(f"{side}: column {shown(name)} is there twice")
        field = fields.get(name)
        if field is None:
            columns[name] = np.zeros(table.num_rows, np.int64)
            continue
        if not readable_as(column.type, field.kind):
            raise InputError(f"{side}: column '{name}' is {shown(str(column.type))}; wanted {WANTED[field.kind]}")
        array = column.chunk(0) if column.num_chunks else pa.array([], column.type)
        columns[name] = arrow_values(name, array, side, partial(_nulls, array))
    return columns


def _nulls(array: pa.Array, _: str) -> int:
    return nulls(array)


def _is_compressed(metadata: pa.Buffer) -> bool:
    """Whether a record batch's metadata, a flatbuffer, has the field ``compression``. Raises IndexError, ValueError."""
    data = memoryview(metadata)
    message = _number(data, 0, 4)
    header = _field(data, message, 2)  # Message: version, header_type, header
    return header is not None and _field(data, header + _number(data, header, 4), _COMPRESSION) is not None


def _field(data: memoryview, table: int, field: int) -> int | None:
    """Where a flatbuffer's ``table`` has its ``field``; None where it has not."""
    vtable = table - int.from_bytes(_bytes(data, table, 4), "little", signed=True)
    size, place = _number(data, vtable, 2), 4 + 2 * field
    offset = _number(data, vtable + place, 2) if place + 2 <= size else 0
    return table + offset if offset else None


def _number(data: memoryview, place: int, size: int) -> int:
    return int.from_bytes(_bytes(data, place, size), "little")


def _bytes(data: memoryview, place: int, size: int) -> memoryview:
    if not 0 <= place <= len(data) - size:
        raise IndexError("a message's metadata points beyond its end")
    return data[place : place + size]
