"""What all HTTP services here do: errors as JSON, statuses counted, token and Host checks, probes, a graceful end."""

import asyncio
import hmac
import re
import traceback
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Protocol

from aiohttp import web, web_response

from embeddings.errors import InputError, one_line
from serve.http.body import BodyReader
from serve.http.connections import Connections
from serve.http.log import log
from serve.http.settings import Listening

PROBES = {"/health", "/ready"}  # what anybody may ask: a cluster's probes have no token, and ask by address
HEADER_BYTES, HEADERS = 8190, 64
HEADERS_S = 15.0  # that the headers of a request may take, and that a connection may idle
CANCELLED_S = 1.0  # that a request which outlasted the grace is given to end
LINGER_S = 1.0  # that a refused body is still read and dropped, for its sender to see the answer
_HOST = re.compile(r"\[(?P<v6>[^\]]*)\](:\d*)?|(?P<name>[^:]*)(:\d*)?")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Counting(Protocol):
    """Metrics that any service has."""

    def status(self, status: str) -> None:
        """Count one request's status, or that its client has gone."""

    def connection_closed(self, why: str) -> None:
        """Count one connection that was closed on its client."""

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""


class GuardedApplication:
    """An application with /health, /ready and /metrics, to whose ``web`` a service adds its routes.

    ``ready`` is false before it can answer and once it stops.

    Args:
        open_paths: that need no token, besides the probes.
    """

    def __init__(self, settings: Listening, metrics: Counting, open_paths: Collection[str] = ()) -> None:
        self._listening, self._counting, self._open = settings, metrics, open_paths
        self._hosts = settings.allowed_hosts
        self.bodies = BodyReader(settings.body_bytes, settings.timeout_s, settings.waiting * settings.body_bytes)
        self.ready = False
        self._under_way = 0
        self.web = web.Application(middlewares=[self._guarded])
        self.web.add_routes(
            [
                web.get("/health", self._health),
                web.get("/ready", self._ready),
                web.get("/metrics", self._prometheus),
            ]
        )

    def about(self) -> dict[str, Any]:
        """What /ready says besides that it is."""
        return {}

    def status_of(self, error: Exception) -> int | None:
        """The status that tells ``error`` to who asked; None where it is a defect of ours."""
        return 400 if isinstance(error, InputError) else None

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
        settings = self._listening
        return Connections(runner.server, settings.connections, settings.timeout_s, self._counting.connection_closed)

    async def drain(self) -> None:
        """Be not ready any more, and wait until what is under way is answered; not longer than the grace.

        A runner that cleans up reads nothing any more, so bodies that are still coming would be lost.
        """
        self.ready = False
        loop = asyncio.get_running_loop()
        until = loop.time() + self._listening.grace_s
        while self._under_way and loop.time() < until:
            await asyncio.sleep(0.02)

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Errors as JSON, statuses counted; who may not ask is refused before anything is read."""
        self._under_way += 1
        try:
            self._check_sender(request)
            response = await handler(request)
        except web.HTTPException as error:
            response = error_response(error.status, error.text or error.reason, error.headers)
        except (asyncio.CancelledError, ConnectionError):  # the client has gone
            self._counting.status("gone")
            raise
        except Exception as error:
            status = self.status_of(error)
            if status is None:
                log(traceback.format_exc())
                response = error_response(500, "a defect of the service; its log has the traceback")
            else:
                if status >= 500:
                    log(one_line(str(error)))
                response = error_response(status, str(error))
        finally:
            self._under_way -= 1
        self._counting.status(str(response.status))
        if not self.ready or not request.content.is_eof():
            response.force_close()  # it stops, or what is left of the body is no request
        return response

    def _check_sender(self, request: web.Request) -> None:
        if request.path in PROBES:
            return
        if self._hosts and _host(request) not in self._hosts:
            raise web.HTTPMisdirectedRequest(text="this host is not served here; name it by --host-name")
        token = self._listening.token
        if token is None or request.path in self._open:
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        got = given.strip().encode(errors="surrogateescape")
        if scheme.lower() != "bearer" or not hmac.compare_digest(got, token.encode()):
            raise web.HTTPUnauthorized(text="Authorization: Bearer TOKEN is missing or wrong")

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _ready(self, request: web.Request) -> web.Response:
        if not self.ready:
            raise web.HTTPServiceUnavailable(text="it is starting or stopping")
        return web.json_response({"status": "ready", **self.about()})

    async def _prometheus(self, request: web.Request) -> web.Response:
        return web.Response(body=self._counting.text(), headers={"Content-Type": "text/plain; version=0.0.4"})


def _host(request: web.Request) -> str:
    """The name in the header Host, without its port; "" where there is none, as HTTP/1.0 allows."""
    match = _HOST.fullmatch(request.headers.get("Host", "").lower())
    return (match["v6"] or match["name"] or "").removesuffix(".") if match else ""


def error_response(status: int, text: str, headers: Any = None) -> web.Response:
    """An error as JSON; of ``headers`` those that a client needs."""
    kept = {key: value for key, value in (headers or {}).items() if key in ("Retry-After", "Allow")}
    if status == 401:
        kept["WWW-Authenticate"] = "Bearer"
    return web.json_response({"error": one_line(text)}, status=status, headers=kept)
