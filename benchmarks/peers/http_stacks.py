"""HTTP stacks that answer GET with two bytes and POST with the JSON that they read; one process each.

    python benchmarks/peers/http_stacks.py NAME PORT

Each is imported where it is started, so that any of them may be missing: then the exit status is MISSING.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import orjson

JSON = "application/json"
MISSING = 3
ASGI = "http_stacks:asgi"  # as servers import it that start processes of their own


def echo(body: bytes) -> bytes:
    """What a scorer does with JSON, without features and model."""
    return orjson.dumps(orjson.loads(body)) if body else b"{}"


async def asgi(scope: dict[str, Any], receive: Callable, send: Callable) -> None:
    """A bare ASGI application."""
    parts, more = [], True
    while more:
        event = await receive()
        parts.append(event.get("body", b""))
        more = event.get("more_body", False)
    out = echo(b"".join(parts))
    headers = [(b"content-type", JSON.encode()), (b"content-length", str(len(out)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": out})


async def rsgi(scope: Any, protocol: Any) -> None:
    """The same by granian's own interface."""
    protocol.response_bytes(200, [("content-type", JSON)], echo(await protocol()))


def aiohttp(port: int, loop: asyncio.AbstractEventLoop) -> None:
    """aiohttp's web.Application."""
    from aiohttp import web

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=echo(await request.read()), content_type=JSON)

    application = web.Application()
    application.router.add_route("*", "/v1/score", answer)
    web.run_app(application, host="127.0.0.1", port=port, access_log=None, print=None, loop=loop)


def aiohttp_uvloop(port: int) -> None:
    """What the scorer has."""
    import uvloop

    aiohttp(port, uvloop.new_event_loop())


def uvicorn(port: int, application: Any = asgi) -> None:
    """uvicorn with httptools and uvloop."""
    import uvicorn as server

    server.run(
        application,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="error",
    )


def starlette(port: int) -> None:
    """Starlette on uvicorn."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    async def answer(request: Request) -> Response:
        return Response(echo(await request.body()), media_type=JSON)

    uvicorn(port, Starlette(routes=[Route("/v1/score", answer, methods=["GET", "POST"])]))


def granian(port: int, interface: str) -> None:
    """granian, whose HTTP is in Rust."""
    from granian import Granian

    target = f"http_stacks:{interface}"
    Granian(target, address="127.0.0.1", port=port, interface=interface, workers=1, log_enabled=False).serve()


def gunicorn(port: int) -> None:
    """gunicorn's own ASGI worker."""
    from gunicorn.app.wsgiapp import run

    sys.argv = ["gunicorn", "-k", "asgi", "-w", "1", "-b", f"127.0.0.1:{port}", "--log-level", "error", ASGI]
    run()


def tornado(port: int) -> None:
    """tornado on asyncio."""
    from tornado import web

    class Answer(web.RequestHandler):
        def get(self) -> None:
            self.set_header("Content-Type", JSON)
            self.finish(echo(self.request.body))

        post = get

    async def serve() -> None:
        web.Application([("/v1/score", Answer)], log_function=lambda _: None).listen(port, "127.0.0.1")
        await asyncio.Event().wait()

    asyncio.run(serve())


STACKS: dict[str, Callable[[int], None]] = {
    "aiohttp, uvloop": aiohttp_uvloop,
    "aiohttp, asyncio": lambda port: aiohttp(port, asyncio.new_event_loop()),
    "uvicorn": uvicorn,
    "uvicorn, Starlette": starlette,
    "granian, ASGI": lambda port: granian(port, "asgi"),
    "granian, RSGI": lambda port: granian(port, "rsgi"),
    "gunicorn, ASGI": gunicorn,
    "tornado": tornado,
}


if __name__ == "__main__":
    try:
        STACKS[sys.argv[1]](int(sys.argv[2]))
    except ImportError as error:
        print(error, file=sys.stderr)
        sys.exit(MISSING)
