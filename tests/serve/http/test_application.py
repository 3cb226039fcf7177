"""The application on a real socket: statuses, limits, errors as JSON, what is logged and what is not."""

import asyncio
import builtins
import io
import json
import sys

import numpy as np
import pyarrow as pa
import pytest

from embeddings.errors import InputError
from serve.answer import NotFinite
from serve.opened_version import OpenedVersion
from serve.policy import Limits, Policy
from serve.request.media_types import ARROW, JSON
from serve.scorer import Scorer
from tests.serve.http.served import BODY, arrow_body, head, served
from tests.serve.tiny_model import REQUEST

TOKEN = "a-token-of-enough-letters"


def test_scores_come_back_bit_for_bit(scorer):
    wanted = scorer.score(**REQUEST)

    async def ask():
        async with served(scorer) as server:
            return await server.json(), await server.arrow(arrow_body())

    (status, headers, body), (arrow_status, _, arrow) = asyncio.run(ask())
    assert status == arrow_status == 200 and headers["Model-Version"] == body["version"] == "000001"
    assert np.array(body["scores"], np.float32).tobytes() == wanted.scores.tobytes()
    assert np.array(body["logits"], np.float32).tobytes() == wanted.logits.tobytes()
    table = pa.ipc.open_stream(arrow).read_all()
    assert table["score"].to_numpy().tobytes() == wanted.scores.tobytes()
    assert json.loads(table.schema.metadata[b"answer"]) == {k: body[k] for k in body if k not in ("scores", "logits")}


# what is asked -> status, words of the error
REFUSED = {
    "no JSON": ({"data": b"{", "headers": {"Content-Type": JSON}}, 400, "no JSON"),
    "no Arrow": ({"data": b"{}", "headers": {"Content-Type": ARROW}}, 400, "no readable Arrow stream"),
    "empty": ({"data": b"", "headers": {"Content-Type": JSON}}, 400, "no JSON"),
    "unknown column": (
        {"json": {**REQUEST, "context": {**REQUEST["context"], "histroy": []}}},
        400,
        "did you mean 'history'",
    ),
    "wrong token": (
        {"data": BODY, "headers": {"Content-Type": JSON, "Authorization": "Bearer no"}},
        401,
        "missing or wrong",
    ),
    "path": ({"path": "/v1/scores"}, 404, "Not Found"),
    "path outside": ({"path": "/../../etc/passwd"}, 404, "Not Found"),
    "method": ({"method": "PUT", "data": BODY}, 405, "Not Allowed"),
    "too large": ({"data": b" " * 70_000, "headers": {"Content-Type": JSON}}, 413, "allowed: 65,536"),
    "type": ({"data": BODY, "headers": {"Content-Type": "text/plain"}}, 415, "text/plain"),
    "encoding": (
        {"data": BODY, "headers": {"Content-Type": JSON, "Content-Encoding": "gzip"}},
        415,
        "Content-Encoding",
    ),
    "host": ({"data": BODY, "headers": {"Content-Type": JSON, "Host": "elsewhere.example"}}, 421, "--host-name"),
    "candidates": ({"json": {**REQUEST, "candidates": {"item": [1] * 9}}}, 400, "at most 8"),
    "policy": (
        {"json": {**REQUEST, "candidates": {**REQUEST["candidates"], "item": [5, 10**9, 7]}}},
        422,
        "candidate 1",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_json_that_says_why(model, case):
    how, wanted, words = REFUSED[case]
    how = {**how, "headers": {"Authorization": f"Bearer {TOKEN}", **how.get("headers", {})}}
    scorer = Scorer(model, policy=Policy(item="refuse"), limits=Limits(candidates=8))

    async def ask():
        async with served(scorer, token=TOKEN, body_bytes=65_536, limits=scorer.limits) as server:
            return await server.ask(**how)

    status, headers, body = asyncio.run(ask())
    assert status == wanted and list(body) == ["error"] and words in body["error"]
    assert ("Allow" in headers) == (status == 405) and ("WWW-Authenticate" in headers) == (status == 401)


@pytest.mark.parametrize(
    ("hosts", "asked", "status"),
    [
        ((), "localhost:8600", 200),
        ((), "127.0.0.1", 200),
        ((), "[::1]:8600", 200),
        ((), "evil.example:8600", 421),
        ((), "localhost.evil.example", 421),
        (("shop.example",), "SHOP.example.:443", 200),
        (("shop.example",), "localhost", 421),
        (("::1",), "[::1]", 200),
    ],
)
def test_the_host_that_is_asked_for(scorer, hosts, asked, status):
    async def ask():
        async with served(scorer, hosts=hosts) as server:
            probe = await server.ask("/ready", "GET", headers={"Host": "10.0.0.7:8600"})
            return (await server.json(Host=asked))[0], probe[0]

    assert asyncio.run(ask()) == (status, 200)


def test_a_token_is_asked_for_but_by_probes(scorer):
    async def ask():
        async with served(scorer, token=TOKEN) as server:
            paths = ("/health", "/ready", "/metrics", "/v1/model", "/v1/slow", "/v1/other")
            without = [(await server.ask(path, "GET"))[0] for path in paths]
            with_it = [
                (await server.ask(path, "GET", headers={"Authorization": f"bearer  {TOKEN} "}))[0] for path in paths
            ]
            return without, with_it

    assert asyncio.run(ask()) == ([200, 200, 401, 401, 401, 401], [200, 200, 200, 200, 200, 404])


def test_the_model_metrics_and_readiness(scorer, model):
    async def ask():
        async with served(scorer) as server:
            await server.json()
            await server.json(b"{}")
            about, metrics = [(await server.ask(path, "GET"))[2] for path in ("/v1/model", "/metrics")]
            server.application.ready = False
            return about, metrics.decode(), await server.ask("/ready", "GET")

    about, metrics, (status, _, not_ready) = asyncio.run(ask())
    assert about["version"] == "000001" and about["columns"]["history"] == {"kind": "list", "max_length": 6}
    assert str(model.parent) not in json.dumps(about) and "path" not in about["stores"]["text"]
    assert 'tierwise_requests_total{status="200"} 2.0' in metrics and 'status="400"} 1.0' in metrics
    assert "tierwise_candidates_sum 3.0" in metrics
    assert status == 503 and not_ready == {"error": "it is starting or stopping"}


def test_a_body_that_still_comes_when_it_stops_is_read_and_scored(scorer):
    async def ask():
        async with served(scorer, timeout_s=60.0, grace_s=60.0) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(head(length=len(BODY)) + BODY[:20])
            while not server.application._under_way:
                await asyncio.sleep(0.01)
            draining = asyncio.create_task(server.application.drain())
            await asyncio.sleep(0.05)
            assert not draining.done() and (await server.ask("/ready", "GET"))[0] == 503
            writer.write(BODY[20:])
            answer = (await reader.read()).decode()  # to the end of the connection
            await draining
            writer.close()
            return answer

    answer = asyncio.run(ask())
    assert answer.startswith("HTTP/1.1 200") and "Connection: close" in answer


def test_a_body_that_never_comes_is_not_waited_for_beyond_the_grace(scorer):
    async def ask():
        async with served(scorer, timeout_s=60.0, grace_s=0.1) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(head(length=len(BODY)) + BODY[:20])
            while not server.application._under_way:
                await asyncio.sleep(0.01)
            await asyncio.wait_for(server.application.drain(), 30)
        assert await reader.read() == b""
        writer.close()

    asyncio.run(ask())


def test_a_slow_request_is_logged_without_what_it_holds(scorer, capsys):
    async def ask():
        async with served(scorer, slow_ms=0.0) as server:
            await server.json()
            return await server.ask("/v1/slow", "GET")

    _, _, remembered = asyncio.run(ask())
    logged = json.loads(capsys.readouterr().err)
    assert [logged] == remembered
    assert set(logged) == {"slow_request", "ms", "waited_ms", "candidates", "body_bytes", "version"}
    assert logged["candidates"] == 3 and logged["body_bytes"] == len(BODY)


def test_a_log_that_cannot_be_written_ends_no_request(scorer, monkeypatch):
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    async def ask():
        async with served(scorer, slow_ms=0.0) as server:
            return await server.json()

    monkeypatch.setattr(sys, "stderr", Full())
    assert asyncio.run(ask())[0] == 200


@pytest.mark.parametrize(
    ("error", "status", "words", "logged"),
    [
        (
            NotFinite("version 000007 makes 1 of 3 logits that are not finite"),
            500,
            "not finite",
            "version 000007 makes",
        ),
        (RuntimeError("secret"), 500, "its log has the traceback", "RuntimeError: secret"),
        (StopIteration("odd"), 500, "its log has the traceback", "StopIteration odd"),
        (InputError("wrong\n\x1b[31mwords"), 400, "wrong \\x1b[31mwords", ""),
    ],
)
def test_what_scoring_raises(scorer, monkeypatch, capsys, error, status, words, logged):
    def score_and_rows(*_):
        raise error

    async def ask():
        async with served(scorer) as server:
            first = await server.json()
            monkeypatch.undo()
            return first, await server.json()

    monkeypatch.setattr(OpenedVersion, "score_and_rows", score_and_rows)
    (got, _, body), (after, _, _) = asyncio.run(ask())
    assert got == status and words in body["error"] and "secret" not in body["error"] and after == 200
    said = capsys.readouterr().err
    assert logged in said and bool(said) == bool(logged)


@pytest.mark.parametrize(
    "path",
    ["/../etc/passwd", "/page/../../etc/passwd", "/page/..%2f..%2f..%2fetc%2fpasswd", "/page/%2e%2e/page.html"]
    + ["/page/page.html%00", "/page//etc/passwd", "/page/templates", "/page/.", "//etc/passwd", "/v1/page/../page.css"],
)
def test_no_path_of_a_request_is_a_path_of_a_file(scorer, path, monkeypatch):
    async def ask():
        async with served(scorer) as server:
            resources = {type(resource).__name__ for resource in server.application.web.router.resources()}
            sent = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
            with monkeypatch.context() as patched:
                for module in (builtins, io):
                    patched.setattr(module, "open", lambda *_, **__: pytest.fail("a file was opened"))
                return resources, await server.raw(sent)

    resources, got = asyncio.run(ask())
    assert got[9:12] in (b"404", b"400")
    assert resources == {"PlainResource", "DynamicResource"}  # none is of a folder of files
