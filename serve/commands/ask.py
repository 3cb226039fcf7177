"""The ask command: a few requests to a running scorer, and its answers, to see that and how it answers."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from embeddings.errors import InputError, shown
from serve.client import ask
from serve.commands.token_file import read_token

SHOWN = 5  # values of a list


@click.command()
@click.option("--url", default="http://127.0.0.1:8600", show_default=True, help="Of the scorer.")
@click.option(
    "--wait-s", type=click.FloatRange(0), default=0.0, show_default=True, help="Until it is ready, where it starts yet."
)
@click.option("--token-file", help="File with the token that the scorer wants, as for python -m serve score.")
def command(url: str, wait_s: float, token_file: str | None) -> None:
    """Send a running scorer its own example, the same without a history, and a wrong one; print all answers."""
    if not url.startswith(("http://", "https://")):
        raise InputError(f"--url is {shown(url)}; wanted http://HOST:PORT")
    url, token = url.rstrip("/"), read_token(token_file)
    _wait_ready(url, time.monotonic() + wait_s)
    status, description = ask(f"{url}/openapi.json", token=token)
    if status == 401:
        raise InputError(f"{url} wants a token, and {'another one' if token else 'none'} came; name it by --token-file")
    if status != 200:
        raise InputError(f"{url}/openapi.json: {description.get('error', f'status {status}')}")
    try:
        content = description["paths"]["/v1/score"]["post"]["requestBody"]["content"]["application/json"]
    except (KeyError, TypeError):
        raise InputError(f"{url}/openapi.json describes no scorer; name one by its address") from None
    if "example" not in content:
        raise InputError("the model was exported without warm-up requests, so there is no example of one to send")
    for what, request in _requests(content["example"]):
        click.echo(f"\n{what}:\n  POST {url}/v1/score\n  {_short(request)}")
        start = time.perf_counter()
        status, answer = ask(f"{url}/v1/score", request, token=token)
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
            status, answer = ask(f"{url}/ready")
            if status == 200:
                return
            error = str(answer.get("error", f"status {status}"))
        except InputError as not_there:
            error = str(not_there)
        if time.monotonic() >= until:
            raise InputError(error)
        time.sleep(0.2)


def _short(value: Any) -> str:
    """JSON of at most ``SHOWN`` values a list; numbers with four digits."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {_short(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        more = [f"... {len(value)} values"] if len(value) > SHOWN else []
        return "[" + ", ".join([*map(_short, value[:SHOWN]), *more]) + "]"
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value)
