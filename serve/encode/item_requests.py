"""Items as requests bring them: JSON and Arrow into changes, checked before anything is kept."""

import base64
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from embeddings.errors import InputError, first_line, shown
from recsys.scl.content_columns import CONTENT_TYPES, holds_content, holds_ids
from serve.encode.content_log import Change, Kind
from serve.request.arrow_stream import read_stream, readable
from serve.request.json_object import read_value

ID = "id"
_STREAM = "an Arrow IPC stream"
_WANTED = {"image": "a string, base64 of a picture file's bytes", "text": "a string"}


def json_changes(body: bytes, kind: Kind, most: int) -> list[Change]:
    """Of {"items": [{"id": 7, KIND: ...}, ...]}, or of one such item. Raises InputError."""
    request = read_value(body)
    items = request.get("items") if isinstance(request, dict) and request.keys() == {"items"} else [request]
    if not isinstance(items, list):
        raise InputError(f"items is {shown(items)}; wanted a list of items")
    _check_count(len(items), most)
    return [_json_change(item, kind, place) for place, item in enumerate(items)]


def arrow_changes(body: bytes, kind: Kind, most: int) -> list[Change]:
    """Of an Arrow stream of the columns id and KIND. Raises InputError."""

    def wanted(schema: pa.Schema) -> list[int]:
        for name, fits, what in (
            (ID, holds_ids, "signed integers"),
            (kind, lambda got: holds_content(got, kind), CONTENT_TYPES[kind]),
        ):
            if schema.names.count(name) != 1:
                raise InputError(f"items: columns are {shown(schema.names)}; wanted {ID} and {kind}, once each")
            if not fits(schema.field(name).type):
                raise InputError(f"items: column '{name}' is {schema.field(name).type}; wanted {what}")
        return sorted(schema.get_field_index(name) for name in (ID, kind))

    source = pa.BufferReader(body)
    with readable("items", _STREAM):
        table, rows = read_stream("items", source, wanted, most, _STREAM)
        binary = table[kind].cast(pa.large_binary())
    if source.tell() != len(body):
        raise InputError(f"items: {len(body) - source.tell()} bytes follow the stream; wanted {_STREAM}")
    _check_count(rows, most)
    return changes_of(table[ID].to_pylist(), binary.to_pylist())


def changes_of(ids: Iterable[Any], contents: Iterable[bytes | None]) -> list[Change]:
    """Pairs of an id and content. Raises InputError for one that is null."""
    changes = []
    for item, content in zip(ids, contents, strict=True):
        if item is None or content is None:
            raise InputError(f"items: {'an id' if item is None else f'the content of item {item}'} is null")
        changes.append(Change(item, content))
    return changes


def check_id(item: Any) -> int:
    """``item`` where it is an int64. Raises InputError."""
    if not isinstance(item, int) or isinstance(item, bool) or not -(2**63) <= item < 2**63:
        raise InputError(f"id is {shown(item)}; wanted a signed 64-bit integer")
    return item


def _json_change(item: Any, kind: Kind, place: int) -> Change:
    if not isinstance(item, dict) or item.keys() != {ID, kind}:
        got = sorted(item) if isinstance(item, dict) else item
        raise InputError(f"item {place} is {shown(got)}; wanted an object with {ID} and {kind}")
    content = item[kind]
    if not isinstance(content, str):
        raise InputError(f"item {place}: {kind} is {shown(content)}; wanted {_WANTED[kind]}")
    if kind == "text":
        return Change(check_id(item[ID]), content.encode(errors="surrogatepass"))
    try:
        return Change(check_id(item[ID]), base64.b64decode(content, validate=True))
    except ValueError as error:
        raise InputError(f"item {place}: {kind} is no base64 ({first_line(error)})") from None


def _check_count(count: int, most: int) -> None:
    if not 1 <= count <= most:
        raise InputError(f"the request has {count:,} items; allowed: 1 to {most:,}")
