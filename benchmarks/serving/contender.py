"""Starts a scorer over HTTP: ours, or a peer behind the same HTTP stack, features and workers.

    python -m benchmarks.serving.contender ours|alone|eager|compiled|noop|parsed MODEL PORT PROCESSES

alone is ours, but scores each request for itself, as the peers do. noop answers without having looked at the body,
parsed with all but the model: what HTTP alone takes, and HTTP, parsing and features together.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

from benchmarks import ROOT
from embeddings.errors import InputError
from serve.client import ask
from serve.http import supervisor, worker
from serve.http.settings import Settings

CONTENDERS = ("ours", "alone", "eager", "compiled", "noop", "parsed")
START_S = 300  # torch.compile takes minutes
_MAIN = worker.main


@contextlib.contextmanager
def serving(name: str, model: str, port: int, processes: int) -> Iterator[float]:
    """A contender that answers at http://127.0.0.1:``port`` inside the block; the seconds until it did."""
    words = ["-m", "benchmarks.serving.contender", name, model, str(port), str(processes)]
    begun = time.monotonic()
    process = subprocess.Popen([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        while not _answers(port):
            if process.poll() is not None:
                said = process.stderr.read().decode()[-300:] if process.stderr else ""
                raise InputError(f"{name} ended with {process.returncode} before it served: {said}")
            if time.monotonic() - begun > START_S:
                raise InputError(f"{name} did not serve within {START_S} s")
            time.sleep(0.1)
        yield time.monotonic() - begun
    finally:
        process.terminate()
        process.wait()


def post(port: int, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request as JSON."""
    status, answer = ask(f"http://127.0.0.1:{port}/v1/score", body, timeout_s=START_S)
    if status != 200:
        raise InputError(f"a contender answered {status}: {answer.get('error')}")
    return answer


def _answers(port: int) -> bool:
    try:
        return ask(f"http://127.0.0.1:{port}/ready", timeout_s=1)[0] == 200
    except InputError:
        return False


def eager(*arguments: Any) -> None:
    """A worker whose model is plain PyTorch, eager."""
    _plain(False)
    _MAIN(*arguments)


def compiled(*arguments: Any) -> None:
    """A worker whose model is plain PyTorch, compiled."""
    _plain(True)
    _MAIN(*arguments)


def alone(*arguments: Any) -> None:
    """A worker that scores each request alone, as the peers do."""
    _one_at_a_time()
    _MAIN(*arguments)


def noop(*arguments: Any) -> None:
    """A worker that reads each request's body and answers as it did the first one."""
    from aiohttp import web

    from serve.http.application import Application
    from serve.request.answers import json_answer

    first: dict[int, Any] = {}  # by the size of bodies: those of one shape are nearly of one

    async def score(self: Application, request: web.Request) -> web.Response:
        body = await self._bodies.read(request)
        size = len(body) // 2000
        if size not in first:
            answer, _ = await self.queue.score(request, self._read_json(body))
            first[size] = answer, json_answer(answer)
        answer, content = first[size]
        self._metrics.answered(answer, 0.0, 0.0)
        return web.Response(body=content, content_type="application/json", headers={"Model-Version": answer.version})

    Application._score = score  # type: ignore[method-assign]  # the same application without its work
    _MAIN(*arguments)


def parsed(*arguments: Any) -> None:
    """A worker that does all but the model: every logit is 0."""
    import torch

    from recsys.exported.model import ExportedModel

    def score(self: ExportedModel, rows: Any) -> Any:
        return torch.zeros(rows.candidates)

    ExportedModel.score = score  # type: ignore[method-assign]  # the same scorer without its model
    _MAIN(*arguments)


def _plain(compile_it: bool) -> None:
    from benchmarks.peers.plain_scorer import PlainScorer
    from recsys.exported.model import ExportedModel
    from recsys.features.request_rows import RequestRows

    plain: dict[int, PlainScorer] = {}

    def score(self: ExportedModel, rows: RequestRows) -> Any:
        if id(self) not in plain:
            plain[id(self)] = PlainScorer(self, compile_it)
        return plain[id(self)].score(rows)

    _one_at_a_time()
    ExportedModel.score = score  # type: ignore[method-assign]  # the peer is the same scorer with another forward


def _one_at_a_time() -> None:
    from serve.http import score_queue

    score_queue.MOST_TOGETHER = 1


def main(name: str, model: str, port: str, processes: str) -> None:
    """Serve until SIGTERM."""
    workers = {"ours": _MAIN, "alone": alone, "eager": eager, "compiled": compiled, "noop": noop, "parsed": parsed}
    mock.patch.object(worker, "main", workers[name]).start()
    settings = Settings(model=model, port=int(port), processes=int(processes), waiting=1000, timeout_s=60, slow_ms=1e9)
    supervisor.Supervisor(settings).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
