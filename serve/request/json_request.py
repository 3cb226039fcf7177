"""JSON requests: an object of context and candidates, columns by name."""

from typing import Any

import orjson

from embeddings.errors import InputError, first_line, shown

_KEYS = {"context", "candidates"}


def parse_request(body: bytes) -> tuple[Any, Any]:
    """Context and candidates as they were sent, unchecked. Raises InputError where ``body`` is no such object."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InputError(f"the body is no JSON: {first_line(error)}") from None
    if not isinstance(request, dict) or request.keys() != _KEYS:
        got = sorted(request) if isinstance(request, dict) else request
        raise InputError(f"the body is {shown(got)}; wanted an object with context and candidates")
    return request["context"], request["candidates"]
