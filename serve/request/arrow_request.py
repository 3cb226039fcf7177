"""Arrow IPC requests: two streams end to end, the context's one row and the candidates' N, into columns.

The bytes come from anybody. Names and types are looked at before any data are; compressed buffers and dictionaries are
refused, as a few bytes of them may say that they hold gigabytes; so are more rows than allowed, as a column of nulls or
of lists of nothing has any number of them in no bytes. Offsets are validated, as the reader does not look at them.
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
_MOST_MESSAGES = 1000  # of a stream
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
        try:
            sides.append(_stream(fields, side, source, most))
        except (pa.ArrowException, OSError, ValueError, IndexError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{side}: no readable Arrow stream ({first_line(error)}); wanted {_FORMAT}") from None
    if source.tell() != len(body):
        raise InputError(f"{len(body) - source.tell()} bytes follow the candidates; wanted {_FORMAT}")
    return sides[0], sides[1]


def _stream(
    fields: Mapping[str, Field], side: str, source: pa.BufferReader, most_rows: int
) -> dict[str, np.ndarray | Ragged]:
    """Columns of the stream that begins where ``source`` is, which is then at its end."""
    start = source.tell()
    _check_messages(side, source)
    end = source.tell()
    source.seek(start)
    schema = pa.ipc.open_stream(source).schema
    _check_columns(fields, side, schema)
    wanted = [i for i, name in enumerate(schema.names) if name in fields]
    source.seek(start)
    batches, rows = [], 0
    for batch in pa.ipc.open_stream(source, options=pa.ipc.IpcReadOptions(included_fields=wanted)):
        rows += batch.num_rows
        if not 0 <= rows <= most_rows:
            raise InputError(f"{side}: it has {rows:,} rows or more; allowed: {most_rows:,}")
        batch.validate(full=True)
        batches.append(batch)
    source.seek(end)
    names = [schema.names[i] for i in wanted]
    table = pa.Table.from_batches(batches, pa.schema([schema.field(i) for i in wanted])).combine_chunks()
    unread = np.zeros(rows, np.int64)  # the same for all, whose names are refused or ignored later
    columns: dict[str, np.ndarray | Ragged] = dict.fromkeys(schema.names, unread)
    for name, column in zip(names, table.columns, strict=True):
        array = column.chunk(0) if column.num_chunks else pa.array([], column.type)
        columns[name] = arrow_values(name, array, side, partial(_nulls, array))
    return columns


def _check_messages(side: str, source: pa.BufferReader) -> None:
    """Read one stream's messages, without their content. Raises InputError for those that requests may not have."""
    messages = pa.ipc.MessageReader.open_stream(source)
    count = 0
    while True:
        try:
            message = messages.read_next_message()
        except StopIteration:
            break
        count += 1
        if count > _MOST_MESSAGES:
            raise InputError(f"{side}: a stream of more than {_MOST_MESSAGES:,} messages; wanted {_FORMAT}")
        if message.type not in ("schema", "record batch"):
            raise InputError(f"{side}: a message is a {message.type}; write columns plainly, without dictionaries")
        if message.type == "record batch" and _is_compressed(message.metadata):
            raise InputError(f"{side}: a record batch is compressed, which requests may not be; write it without")
    if not count:
        raise InputError(f"{side}: its stream is missing; wanted {_FORMAT}")


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
