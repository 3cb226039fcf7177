"""An application that answers on a real socket of this process, and ways to ask it."""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pyarrow as pa

from serve.http.application import Application
from serve.http.connections import Connections
from serve.http.metrics import Metrics
from serve.http.settings import Settings
from serve.page.items import Items
from serve.request.media_types import ARROW, JSON
from serve.scorer import Scorer
from tests.serve.tiny_model import REQUEST

BODY = json.dumps(REQUEST).encode()


class Served:
    """A running application, its port, and a client that asks it."""

    def __init__(
        self, application: Application, connections: Connections, port: int, client: aiohttp.ClientSession
    ) -> None:
        self.application, self.connections, self.port, self._client = application, connections, port, client
        self.score = f"http://127.0.0.1:{port}/v1/score"

    async def ask(self, path: str = "/v1/score", method: str = "POST", **how: Any) -> tuple[int, dict, Any]:
        """Status, headers, and the body as JSON or, where it is none, as bytes."""
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self._client.request(method, url, **how) as answer:
            body = await answer.read()
            return answer.status, dict(answer.headers), json.loads(body) if answer.content_type == JSON else body

    async def json(self, body: bytes = BODY, **headers: str) -> tuple[int, dict, Any]:
        """The answer to a JSON request."""
        return await self.ask(data=body, headers={"Content-Type": JSON, **headers})

    async def arrow(self, body: bytes) -> tuple[int, dict, Any]:
        """The answer to an Arrow request."""
        return await self.ask(data=body, headers={"Content-Type": ARROW})

    async def raw(self, sent: bytes, wait_s: float = 10.0) -> bytes:
        """All that comes back for bytes until the server closes the connection, which fails after ``wait_s``."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        got = b""
        with contextlib.suppress(ConnectionError):
            writer.write(sent)
            while part := await asyncio.wait_for(reader.read(1 << 16), wait_s):
                got += part
        writer.close()
        return got


@contextlib.asynccontextmanager
async def served(scorer: Scorer, *, works: bool = True, **settings: Any) -> AsyncIterator[Served]:
    """An application of ``settings``, ready, with its queue's task where it ``works``."""
    application = Application(
        scorer, Settings(model="", **settings), Metrics("0"), Items(settings.get("items", ()), "item")
    )
    application.ready = True
    runner = application.runner()
    await runner.setup()
    connections = application.connections(runner)
    listening = await asyncio.get_running_loop().create_server(connections, "127.0.0.1", 0)
    working = asyncio.create_task(application.queue.work()) if works else None
    async with aiohttp.ClientSession() as client:
        yield Served(application, connections, listening.sockets[0].getsockname()[1], client)
    listening.close()
    await runner.cleanup()
    if working is not None:
        working.cancel()


def stream(columns: dict[str, Any] | pa.Table, **options: Any) -> bytes:
    """One Arrow stream."""
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    out = io.BytesIO()
    with pa.ipc.new_stream(out, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return out.getvalue()


def arrow_body(request: dict[str, Any] = REQUEST) -> bytes:
    """A request as two Arrow streams."""
    context = {name: [value] for name, value in request["context"].items()}
    return stream(context) + stream(request["candidates"])


def head(*lines: str, length: int | None = None) -> bytes:
    """The first line and headers of a request to score JSON, and more of them."""
    more = [f"Content-Length: {length}"] if length is not None else []
    first = ["POST /v1/score HTTP/1.1", "Host: localhost", f"Content-Type: {JSON}"]
    return "\r\n".join([*first, *lines, *more, "", ""]).encode(errors="surrogateescape")
