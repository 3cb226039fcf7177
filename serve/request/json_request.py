"""JSON requests: an object of context and candidates, columns by name."""

from typing import Any

from serve.request.json_object import read_object

_KEYS = ("context", "candidates")


def parse_request(body: bytes) -> tuple[Any, Any]:
    """Context and candidates as they were sent, unchecked. Raises InputError where ``body`` is no such object."""
    request = read_object(body, _KEYS)
    return request["context"], request["candidates"]
