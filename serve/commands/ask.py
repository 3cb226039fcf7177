"""The ask command: a few requests to a running scorer, and its answers, to see that and how it answers."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import click

from embeddings.errors import InputError, first_line, shown

SHOWN = 5  # values of a list
_TIMEOUT_S = 10.0


@click.command()
@click.option("--url", default="http://127.0.0.1:8600", show_default=True, help="Of the scorer.")
@click.option(
    "--wait-s", type=click.FloatRange(0), default=0.0, show_default=True, help="Until it is ready, where it starts yet."
)
def command(url: str, wait_s: float) -> None:
    """Send a running scorer its own example, the same without a history, and a wrong one; print all answers."""
    if not url.startswith(("http://", "https://")):
        raise InputError(f"--url is {shown(url)}; wanted http://HOST:PORT")
    url = url.rstrip("/")
    _wait_ready(url, time.monotonic() + wait_s)
    status, description = _asked(f"{url}/openapi.json")
    if status != 200:
        raise InputError(f"{url}/openapi.json: {description.get('error', f'status {status}')}")
    content = description["paths"]["/v1/score"]["post"]["requestBody"]["content"]["application/json"]
    if "example" not in content:
        raise InputError("the model was exported without warm-up requests, so there is no example of one to send")
    for what, request in _requests(content["example"]):
        click.echo(f"\n{what}:\n  POST {url}/v1/score\n  {_short(request)}")
        start = time.perf_counter()
        status, answer = _asked(f"{url}/v1/score", request)
        click.echo(f"answer, status {status}, {1e3 * (time.perf_counter() - start):.1f} ms:\n  {_short(answer)}")
    click.echo(f"\nthe page for people: {url}/")


def _requests(example: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    context, candidates = example["context"], example["candidates"]
    yield "the model's own example", {"context": context, "candidates": candidates}
    bare = {name: [] if isinstance(value, list) else value for name, value in context.items()}
    if bare != context:
        yield "the same user without a history", {"context": bare, "candidates": candidates}
    yield "a request without candidates", {"context": context, "candidates": {}}


def _wait_ready(url: str, until: float) -> None:
    while True:
        try:
            status, answer = _asked(f"{url}/ready")
            if status == 200:
                return
            error = str(answer.get("error", f"status {status}"))
        except InputError as not_there:
            error = str(not_there)
        if time.monotonic() >= until:
            raise InputError(error)
        time.sleep(0.2)


def _asked(url: str, request: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    """Status and JSON of an answer. Raises InputError where nobody answers in JSON."""
    body = None if request is None else json.dumps(request).encode()
    try:
        asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=_TIMEOUT_S) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            text = error.read()
        try:
            return error.code, json.loads(text)
        except ValueError:
            raise InputError(f"{url}: status {error.code}, and no JSON; is that a scorer?") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{url} does not answer ({first_line(error)}); start python -m serve score") from None


def _short(value: Any) -> str:
    """JSON of at most ``SHOWN`` values a list; numbers with four digits."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {_short(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        more = [f"... {len(value)} values"] if len(value) > SHOWN else []
        return "[" + ", ".join([*map(_short, value[:SHOWN]), *more]) + "]"
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
