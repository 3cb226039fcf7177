"""A body as a JSON object of known keys."""

from collections.abc import Collection
from typing import Any

import orjson

from embeddings.errors import InputError, first_line, shown


def read_object(body: bytes, keys: Collection[str]) -> dict[str, Any]:
    """The object in ``body``, with exactly ``keys``. Raises InputError where it is no such object."""
    request = read_value(body)
    if not isinstance(request, dict) or request.keys() != set(keys):
        got = sorted(request) if isinstance(request, dict) else request
        raise InputError(f"the body is {shown(got)}; wanted an object with {' and '.join(keys)}")
    return request


def read_value(body: bytes) -> Any:
    """The JSON in ``body``. Raises InputError where it is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InputError(f"the body is no JSON: {first_line(error)}") from None
