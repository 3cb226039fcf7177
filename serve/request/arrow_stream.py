"""Arrow IPC streams that come from anybody: checked message by message, then read, within a number of rows.

Types are looked at before any data are; compressed buffers and dictionaries are refused, as a few bytes of them may say
that they hold gigabytes; so are more rows than allowed, as a column of nulls or of lists of nothing has any number of
them in no bytes. Offsets are validated, as the reader does not look at them.
"""

import contextlib
from collections.abc import Callable, Iterator

import pyarrow as pa

from embeddings.errors import InputError, first_line

_COMPRESSION = 3  # the field of a RecordBatch
_MOST_MESSAGES = 1000  # of a stream


@contextlib.contextmanager
def readable(what: str, form: str) -> Iterator[None]:
    """Whatever Arrow makes of bytes that are no stream, as an InputError; arguments as of ``read_stream``."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{what}: no readable Arrow stream ({first_line(error)}); wanted {form}") from None


def read_stream(
    what: str, source: pa.BufferReader, wanted: Callable[[pa.Schema], list[int]], most_rows: int, form: str
) -> tuple[pa.Table, int]:
    """The stream that begins where ``source`` is, which is then at its end: columns of a chunk or none, and its rows.

    Args:
        what: the stream is of, for messages; ``form``: what these say is wanted.
        wanted: which columns to read, ascending; raises InputError for a schema that is not allowed.

    Raises InputError where it is no stream that requests may have, or has more rows; see ``readable``.
    """
    start = source.tell()
    _check_messages(what, source, form)
    end = source.tell()
    source.seek(start)
    schema = pa.ipc.open_stream(source).schema
    columns = wanted(schema)
    source.seek(start)
    batches, rows = [], 0
    for batch in pa.ipc.open_stream(source, options=pa.ipc.IpcReadOptions(included_fields=columns)):
        rows += batch.num_rows
        if not 0 <= rows <= most_rows:
            raise InputError(f"{what}: it has {rows:,} rows or more; allowed: {most_rows:,}")
        batch.validate(full=True)
        batches.append(batch)
    source.seek(end)
    table = pa.Table.from_batches(batches, pa.schema([schema.field(i) for i in columns])).combine_chunks()
    return table, rows


def _check_messages(what: str, source: pa.BufferReader, form: str) -> None:
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
            raise InputError(f"{what}: a stream of more than {_MOST_MESSAGES:,} messages; wanted {form}")
        if message.type not in ("schema", "record batch"):
            raise InputError(f"{what}: a message is a {message.type}; write columns plainly, without dictionaries")
        if message.type == "record batch" and _is_compressed(message.metadata):
            raise InputError(f"{what}: a record batch is compressed, which requests may not be; write it without")
    if not count:
        raise InputError(f"{what}: its stream is missing; wanted {form}")


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
