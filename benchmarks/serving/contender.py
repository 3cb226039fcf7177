"""A scorer over HTTP to be measured: ours, or a peer behind the same HTTP stack, features and workers.

    python -m benchmarks.serving.contender NAME MODEL PORT PROCESSES SLOW_MS

alone is ours, but scores each request for itself, as the peers do. eager and compiled are plain PyTorch
(benchmarks/peers/plain_scorer.py), split_ and folded_ the same, written with more and with most care.
noop answers without having looked at the body, parsed with all but the model: what HTTP alone takes, and HTTP, parsing
and features together.
"""

import functools
import sys
from typing import Any
from unittest import mock

from serve.http import supervisor, worker
from serve.http.settings import Settings

PEERS: dict[str, dict[str, Any]] = {
    "eager": {"compiled": False, "how": "layers"},
    "compiled": {"compiled": True, "how": "layers"},
    "split_eager": {"compiled": False, "how": "split"},
    "split_compiled": {"compiled": True, "how": "split"},
    "folded_eager": {"compiled": False, "how": "folded"},
    "folded_compiled": {"compiled": True, "how": "folded"},
}
CONTENDERS = ("ours", "alone", *PEERS, "noop", "parsed")
_MAIN = worker.main


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
        body = await self.bodies.read(request)
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


def plain(name: str, *arguments: Any) -> None:
    """A worker whose model is plain PyTorch."""
    from benchmarks.peers.plain_scorer import PlainScorer
    from recsys.exported.model import ExportedModel
    from recsys.features.request_rows import RequestRows

    scorers: dict[int, PlainScorer] = {}

    def score(self: ExportedModel, rows: RequestRows) -> Any:
        if id(self) not in scorers:
            scorers[id(self)] = PlainScorer(self, **PEERS[name])
        return scorers[id(self)].score(rows)

    _one_at_a_time()
    ExportedModel.score = score  # type: ignore[method-assign]  # the peer is the same scorer with another forward
    _MAIN(*arguments)


def _one_at_a_time() -> None:
    from serve.http import score_queue

    score_queue.MOST_TOGETHER = 1


def main(name: str, model: str, port: str, processes: str, slow_ms: str) -> None:
    """Serve until SIGTERM."""
    workers = {"ours": _MAIN, "alone": alone, "noop": noop, "parsed": parsed} | {
        p: functools.partial(plain, p) for p in PEERS
    }
    mock.patch.object(worker, "main", workers[name]).start()
    settings = Settings(
        model=model, port=int(port), processes=int(processes), waiting=1000, timeout_s=60, slow_ms=float(slow_ms)
    )
    supervisor.Supervisor(settings).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
