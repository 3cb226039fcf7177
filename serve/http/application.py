"""The scorer's HTTP application: routes, bounded reading of bodies, errors as JSON, token and Host checks."""

import asyncio
import collections
import hmac
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from embeddings.errors import InputError, one_line
from serve.http.metrics import Metrics
from serve.http.page_routes import OPEN as PAGE
from serve.http.page_routes import PageRoutes
from serve.http.score_queue import ScoreQueue
from serve.http.settings import Settings
from serve.page.items import Items
from serve.request.answers import arrow_answer, json_answer
from serve.request.arrow_request import arrow_columns
from serve.request.json_request import parse_request
from serve.scorer import Answer, Scorer
from serve.unknown import Unwanted

JSON, ARROW = "application/json", "application/vnd.apache.arrow.stream"
MOST_SLOW = 100  # requests that are remembered
OPEN = {"/health", "/ready"} | PAGE  # what asks for no token: a cluster's probes have none, nor a browser at first
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Application:
    """Answers requests by ``scorer``. ``ready`` is false before the first version is warm and once it stops."""

    def __init__(self, scorer: Scorer, settings: Settings, metrics: Metrics, items: Items) -> None:
        self._scorer, self._settings, self._metrics = scorer, settings, metrics
        self.queue = ScoreQueue(settings.waiting, settings.timeout_s)
        self.ready = False
        self.slow: collections.deque[dict[str, Any]] = collections.deque(maxlen=MOST_SLOW)
        self.web = web.Application(client_max_size=settings.body_bytes, middlewares=[self._guarded])
        self.web.add_routes(
            [
                web.post("/v1/score", self._score),
                web.get("/v1/model", self._model),
                web.get("/v1/slow", self._slow),
                web.get("/health", self._health),
                web.get("/ready", self._ready),
                web.get("/metrics", self._prometheus),
                web.get("/openapi.json", self._openapi),
            ]
        )
        self._page = PageRoutes(scorer, settings, items, self.queue, self._body, self._metrics_text, self.slow)
        if settings.page:
            self.web.add_routes(self._page.routes())

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Errors as JSON, statuses counted; who may not ask is refused before anything is read."""
        try:
            self._check_sender(request)
            response = await handler(request)
        except Unwanted as error:
            response = _error(422, str(error))
        except InputError as error:
            response = _error(400, str(error))
        except web.HTTPException as error:
            response = _error(error.status, error.text or error.reason, error.headers)
        self._metrics.status(response.status)
        return response

    def _check_sender(self, request: web.Request) -> None:
        hosts = self._settings.hosts
        if hosts and request.host.rpartition(":")[0] not in hosts and request.host not in hosts:
            raise web.HTTPMisdirectedRequest(text="this host is not served here; name it by --host-name")
        token = self._settings.token
        if token is not None and request.path not in OPEN:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
                raise web.HTTPUnauthorized(text="Authorization: Bearer TOKEN is missing or wrong")

    async def _score(self, request: web.Request) -> web.Response:
        start = time.perf_counter()
        kind = request.content_type
        if kind not in (JSON, ARROW):
            raise web.HTTPUnsupportedMediaType(text=f"Content-Type is {kind}; wanted {JSON} or {ARROW}")
        body = await self._body(request)
        work = self._of_json if kind == JSON else self._of_arrow
        (content, answer), waited = await self.queue.run(request, lambda: work(body))
        seconds = time.perf_counter() - start
        self._metrics.answered(answer, seconds, waited)
        if seconds * 1e3 >= self._settings.slow_ms:
            self._remember(answer, len(body), seconds, waited)
        return web.Response(body=content, content_type=kind, headers={"Model-Version": answer.version})

    def _of_json(self, body: bytes) -> tuple[bytes, Answer]:
        answer = self._scorer.score(*parse_request(body))
        return json_answer(answer), answer

    def _of_arrow(self, body: bytes) -> tuple[bytes, Answer]:
        answer = self._scorer.score_with(lambda fields: arrow_columns(fields, body))
        return arrow_answer(answer), answer

    async def _body(self, request: web.Request) -> bytes:
        """The body, refused before it is read where it says that it is too large, and ended where it does not come."""
        most, length = self._settings.body_bytes, request.content_length
        if "Content-Encoding" in request.headers:
            raise web.HTTPUnsupportedMediaType(text="Content-Encoding is not taken; send the body as it is")
        if length is not None and length > most:
            raise web.HTTPRequestEntityTooLarge(most, length, headers={"Connection": "close"})
        if request.content.is_eof():
            return await request.read()
        late = asyncio.get_running_loop().call_later(self._settings.timeout_s, _abort, request)
        try:
            return await request.read()
        finally:
            late.cancel()

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
        print(json.dumps(slow), file=sys.stderr, flush=True)

    async def _model(self, request: web.Request) -> web.Response:
        manifest = self._scorer.model.manifest
        stores = {name: entry.model_dump(exclude={"path"}) for name, entry in manifest.stores.items()}
        about = {
            "version": manifest.version,
            "created": manifest.created,
            "step": manifest.source.step,
            "epoch": manifest.source.epoch,
            "tables": {name: entry.model_dump() for name, entry in manifest.tables.items()},
            "stores": stores,
            "columns": {
                name: {"kind": field.kind, "max_length": field.max_length}
                for name, field in self._scorer.fields.items()
            },
        }
        return web.json_response(about)

    async def _slow(self, request: web.Request) -> web.Response:
        return web.json_response(list(self.slow))

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _ready(self, request: web.Request) -> web.Response:
        if not self.ready:
            raise web.HTTPServiceUnavailable(text="it is starting or stopping")
        return web.json_response({"status": "ready", "version": self._scorer.version})

    async def _openapi(self, request: web.Request) -> web.Response:
        return web.json_response(self._page.openapi())

    async def _prometheus(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics_text(), headers={"Content-Type": "text/plain; version=0.0.4"})

    def _metrics_text(self) -> bytes:
        self._metrics.waiting(len(self.queue))
        return self._metrics.text()


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _error(status: int, text: str, headers: Any = None) -> web.Response:
    kept = {key: value for key, value in (headers or {}).items() if key in ("Retry-After", "Connection", "Allow")}
    if status == 401:
        kept["WWW-Authenticate"] = "Bearer"
    return web.json_response({"error": one_line(text)}, status=status, headers=kept)
