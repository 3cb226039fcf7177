"""The scorer's HTTP application: its routes."""

import collections
import json
import time
from typing import Any

from aiohttp import web

from serve.answer import Answer, NotFinite
from serve.http.guarded_application import GuardedApplication
from serve.http.log import log
from serve.http.metrics import Metrics
from serve.http.page_routes import OPEN as PAGE
from serve.http.page_routes import PageRoutes
from serve.http.score_queue import ScoreQueue
from serve.http.settings import Settings
from serve.opened_version import ReadRequest
from serve.page.items import Items
from serve.request.answers import arrow_answer, json_answer
from serve.request.arrow_request import arrow_columns
from serve.request.json_request import parse_request
from serve.request.media_types import ARROW, JSON
from serve.scorer import Scorer
from serve.unknown import Unwanted

MOST_SLOW = 100  # requests that are remembered


class Application(GuardedApplication):
    """Answers requests by ``scorer``."""

    def __init__(self, scorer: Scorer, settings: Settings, metrics: Metrics, items: Items) -> None:
        super().__init__(settings, metrics, PAGE)  # a browser that asks for the page has no token at first
        self._scorer, self._settings, self._metrics = scorer, settings, metrics
        self.queue = ScoreQueue(settings.waiting, settings.timeout_s, scorer.score_together, metrics.waiting)
        self.slow: collections.deque[dict[str, Any]] = collections.deque(maxlen=MOST_SLOW)
        self.web.add_routes(
            [
                web.post("/v1/score", self._score),
                web.get("/v1/model", self._model),
                web.get("/v1/slow", self._slow),
                web.get("/openapi.json", self._openapi),
            ]
        )
        read = self.bodies.read
        self._page = PageRoutes(scorer, settings, items, self.queue, read, metrics.text, self.slow)
        if settings.page:
            self.web.add_routes(self._page.routes())

    def about(self) -> dict[str, Any]:
        """The version that scores."""
        return {"version": self._scorer.model.name}

    def status_of(self, error: Exception) -> int | None:
        """As in ``GuardedApplication``."""
        return 422 if isinstance(error, Unwanted) else 500 if isinstance(error, NotFinite) else super().status_of(error)

    async def _score(self, request: web.Request) -> web.Response:
        start = time.perf_counter()
        kind = request.content_type
        if kind not in (JSON, ARROW):
            raise web.HTTPUnsupportedMediaType(text=f"Content-Type is {kind}; wanted {JSON} or {ARROW}")
        body = await self.bodies.read(request)
        self.queue.check_room()
        read, encode = (self._read_json, json_answer) if kind == JSON else (self._read_arrow, arrow_answer)
        to_score, body_bytes = read(body), len(body)
        del body  # it may wait
        answer, waited = await self.queue.score(request, to_score)
        content = encode(answer)
        seconds = time.perf_counter() - start
        self._metrics.answered(answer, seconds, waited)
        if seconds * 1e3 >= self._settings.slow_ms:
            self._remember(answer, body_bytes, seconds, waited)
        return web.Response(body=content, content_type=kind, headers={"Model-Version": answer.version})

    def _read_json(self, body: bytes) -> ReadRequest:
        return self._scorer.read(*parse_request(body))

    def _read_arrow(self, body: bytes) -> ReadRequest:
        most = self._settings.limits.candidates
        return self._scorer.read_arrays(lambda fields: arrow_columns(fields, body, most))

    def _remember(self, answer: Answer, body_bytes: int, seconds: float, waited_s: float) -> None:
        slow = {
            "slow_request": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "ms": round(seconds * 1e3, 1),
            "waited_ms": round(waited_s * 1e3, 1),
            "candidates": int(answer.scores.size),
            "body_bytes": body_bytes,
            "version": answer.version,
        }
        self.slow.append(slow)
        log(json.dumps(slow))

    async def _model(self, request: web.Request) -> web.Response:
        model = self._scorer.model  # once: another one may come at any time
        manifest, fields = model.manifest, model.fields.values()
        delta = model.delta
        newest = delta.position if delta else manifest.source.stream
        about = {
            "version": model.name,
            "created": manifest.created,
            "step": delta.step if delta else manifest.source.step,
            "delta": {"number": delta.number, "created": delta.created} if delta else None,
            "event_time": newest.event_time if newest else None,
            "epoch": manifest.source.epoch,
            "tables": {name: entry.model_dump() for name, entry in manifest.tables.items()},
            "stores": {name: entry.model_dump(exclude={"path"}) for name, entry in manifest.stores.items()},
            "columns": {field.column: {"kind": field.kind, "max_length": field.max_length} for field in fields},
        }
        return web.json_response(about)

    async def _slow(self, request: web.Request) -> web.Response:
        return web.json_response(list(self.slow))

    async def _openapi(self, request: web.Request) -> web.Response:
        return web.json_response(self._page.openapi())
