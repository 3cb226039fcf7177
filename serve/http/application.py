"""The scorer's HTTP application: routes, limits, errors as JSON, token and Host checks."""

import asyncio
import collections
import hmac
import json
import re
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web, web_response

from embeddings.errors import InputError, one_line
from serve.answer import Answer, NotFinite
from serve.http.body import BodyReader
from serve.http.connections import Connections
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
PROBES = {"/health", "/ready"}  # what anybody may ask: a cluster's probes have no token, and ask by address
HEADER_BYTES, HEADERS = 8190, 64
HEADERS_S = 15.0  # that the headers of a request may take, and that a connection may idle
CANCELLED_S = 1.0  # that a request which outlasted the grace is given to end
LINGER_S = 1.0  # that a refused body is still read and dropped, for its sender to see the answer
_HOST = re.compile(r"\[(?P<v6>[^\]]*)\](:\d*)?|(?P<name>[^:]*)(:\d*)?")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Application:
    """Answers requests by ``scorer``. ``ready`` is false before the first version is warm and once it stops."""

    def __init__(self, scorer: Scorer, settings: Settings, metrics: Metrics, items: Items) -> None:
        self._scorer, self._settings, self._metrics = scorer, settings, metrics
        self._hosts = settings.allowed_hosts
        self._bodies = BodyReader(settings.body_bytes, settings.timeout_s, settings.waiting * settings.body_bytes)
        self.queue = ScoreQueue(settings.waiting, settings.timeout_s, scorer.score_together, metrics.waiting)
        self.ready = False
        self._under_way = 0
        self.slow: collections.deque[dict[str, Any]] = collections.deque(maxlen=MOST_SLOW)
        self.web = web.Application(middlewares=[self._guarded])
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
        read = self._bodies.read
        self._page = PageRoutes(scorer, settings, items, self.queue, read, metrics.text, self.slow)
        if settings.page:
            self.web.add_routes(self._page.routes())

    def runner(self) -> web.AppRunner:
        """What serves the application, within its limits."""
        setattr(web_response, "SERVER_SOFTWARE", "tierwise")  # noqa: B010, it tells the versions of Python and aiohttp
        return web.AppRunner(
            self.web,
            access_log=None,
            keepalive_timeout=HEADERS_S,
            lingering_time=LINGER_S,
            max_line_size=HEADER_BYTES,
            max_field_size=HEADER_BYTES,
            max_headers=HEADERS,
            auto_decompress=False,
            shutdown_timeout=CANCELLED_S,
        )

    def connections(self, runner: web.AppRunner) -> Connections:
        """What makes the connections of a ``runner`` that is set up, for ``loop.create_server``."""
        assert runner.server is not None
        settings = self._settings
        return Connections(runner.server, settings.connections, settings.timeout_s, self._metrics.connection_closed)

    async def drain(self) -> None:
        """Be not ready any more, and wait until what is under way is answered; not longer than the grace.

        A runner that cleans up reads nothing any more, so bodies that are still coming would be lost.
        """
        self.ready = False
        loop = asyncio.get_running_loop()
        until = loop.time() + self._settings.grace_s
        while self._under_way and loop.time() < until:
            await asyncio.sleep(0.02)

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Errors as JSON, statuses counted; who may not ask is refused before anything is read."""
        self._under_way += 1
        try:
            self._check_sender(request)
            response = await handler(request)
        except Unwanted as error:
            response = _error(422, str(error))
        except InputError as error:
            response = _error(400, str(error))
        except web.HTTPException as error:
            response = _error(error.status, error.text or error.reason, error.headers)
        except NotFinite as error:
            log(one_line(str(error)))
            response = _error(500, str(error))
        except (asyncio.CancelledError, ConnectionError):  # the client has gone
            self._metrics.status("gone")
            raise
        except Exception:  # a defect of ours
            log(traceback.format_exc())
            response = _error(500, "a defect of the scorer; its log has the traceback")
        finally:
            self._under_way -= 1
        self._metrics.status(str(response.status))
        if not self.ready or not request.content.is_eof():
            response.force_close()  # it stops, or what is left of the body is no request
        return response

    def _check_sender(self, request: web.Request) -> None:
        if request.path in PROBES:
            return
        if self._hosts and _host(request) not in self._hosts:
            raise web.HTTPMisdirectedRequest(text="this host is not served here; name it by --host-name")
        token = self._settings.token
        if token is None or request.path in PAGE:  # a browser has none at first
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        got = given.strip().encode(errors="surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(got, token.encode()):
            raise web.HTTPUnauthorized(text="Authorization: Bearer TOKEN is missing or wrong")

    async def _score(self, request: web.Request) -> web.Response:
        start = time.perf_counter()
        kind = request.content_type
        if kind not in (JSON, ARROW):
            raise web.HTTPUnsupportedMediaType(text=f"Content-Type is {kind}; wanted {JSON} or {ARROW}")
        body = await self._bodies.read(request)
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

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _ready(self, request: web.Request) -> web.Response:
        if not self.ready:
            raise web.HTTPServiceUnavailable(text="it is starting or stopping")
        return web.json_response({"status": "ready", "version": self._scorer.model.name})

    async def _openapi(self, request: web.Request) -> web.Response:
        return web.json_response(self._page.openapi())

    async def _prometheus(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})


def _host(request: web.Request) -> str:
    """The name in the header Host, without its port; "" where there is none, as HTTP/1.0 allows."""
    match = _HOST.fullmatch(request.headers.get("Host", "").lower())
    return (match["v6"] or match["name"] or "").removesuffix(".") if match else ""


def _error(status: int, text: str, headers: Any = None) -> web.Response:
    kept = {key: value for key, value in (headers or {}).items() if key in ("Retry-After", "Allow")}
    if status == 401:
        kept["WWW-Authenticate"] = "Bearer"
    return web.json_response({"error": one_line(text)}, status=status, headers=kept)
