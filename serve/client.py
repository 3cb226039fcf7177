"""A client of a scorer over HTTP: one request, its status and its JSON. Nothing but the standard library."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from embeddings.errors import InputError, first_line

_TIMEOUT_S = 10.0


def ask(
    url: str, request: Mapping[str, Any] | None = None, *, token: str | None = None, timeout_s: float = _TIMEOUT_S
) -> tuple[int, dict[str, Any]]:
    """Status and JSON of the answer at ``url``.

    Args:
        request: is posted as JSON; None: GET.
        token: that the scorer wants, if any.
        timeout_s: that each wait for the other side may take.

    Raises InputError where nobody answers, or not in JSON.
    """
    try:
        body = None if request is None else json.dumps(request).encode()
        asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        if token is not None:
            asked.add_unredirected_header("Authorization", f"Bearer {token}")  # for this host alone
        try:
            answer = urllib.request.urlopen(asked, timeout=timeout_s)
        except urllib.error.HTTPError as error:  # an answer too
            answer = error
        with answer:
            status, text = answer.status, answer.read()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise InputError(f"{url} does not answer ({first_line(error)}); start python -m serve score") from None
    try:
        described = json.loads(text)
    except ValueError:
        described = None
    if not isinstance(described, dict):
        raise InputError(f"{url}: status {status}, and no JSON of a scorer; name one by its address")
    return status, described
