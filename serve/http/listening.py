"""Listens for an application: sockets on the addresses, and, at the end, what is under way answered first."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from embeddings.errors import InputError, first_line
from serve.http.guarded_application import GuardedApplication

BACKLOG = 1024


@contextlib.asynccontextmanager
async def listening(application: GuardedApplication, addresses: Sequence[str], port: int) -> AsyncIterator[None]:
    """Connections are taken meanwhile. Raises InputError where an address cannot be listened on."""
    loop, runner = asyncio.get_running_loop(), application.runner()
    await runner.setup()
    connections, servers = application.connections(runner), []
    try:
        for address in addresses:
            try:
                servers.append(await loop.create_server(connections, address, port, reuse_port=True, backlog=BACKLOG))
            except OSError as error:
                raise InputError(f"{address}:{port} cannot be listened on: {first_line(error)}") from None
        yield
    finally:
        for server in servers:
            server.close()  # which takes no connections any more, and keeps those that there are
        await application.drain()
        await runner.cleanup()
