"""Connections as raw sockets: how many are open at once, and clients that never take their answers."""

import asyncio
import contextlib
import socket

import pytest
import uvloop

from serve.http.connections import Connections
from tests.serve.http.served import Served, served
from tests.serve.http.test_metrics import lines

GET = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
MANY = 5000  # answers of some 10 kB: more than the system's buffers take
LOOPS = {"asyncio": asyncio.run, "uvloop": uvloop.run}  # workers run on uvloop


async def until(true, seconds: float = 30.0) -> None:
    loop = asyncio.get_running_loop()
    limit = loop.time() + seconds
    while not true():
        assert loop.time() < limit, "it did not come true"
        await asyncio.sleep(0.01)


def closed(server: Served, why: str) -> float:
    return lines(server.application._metrics.text()).get(f'tierwise_closed_connections_total{{why="{why}"}}', 0)


@pytest.mark.parametrize("run", LOOPS.values(), ids=LOOPS)
def test_one_beyond_those_that_may_be_open_is_closed_at_once(scorer, run):
    async def ask():
        async with served(scorer, connections=2) as server:
            opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(4)]
            for reader, _ in opened[2:]:
                with contextlib.suppress(ConnectionError):
                    assert await asyncio.wait_for(reader.read(), 10) == b""  # long before one that idles is closed
            assert server.connections.open == 2 and closed(server, "too_many") == 2
            for reader, writer in opened[:2]:
                writer.write(GET)
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            opened[0][1].close()
            await until(lambda: server.connections.open == 1)
            assert (await server.ask("/health", "GET"))[0] == 200
            for _, writer in opened:
                writer.close()

    run(ask())


@pytest.mark.parametrize("run", LOOPS.values(), ids=LOOPS)
def test_a_client_that_never_takes_its_answers_is_cut(scorer, run):
    async def ask():
        loop = asyncio.get_running_loop()
        async with served(scorer, timeout_s=0.3) as server:
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.setblocking(False)
                await loop.sock_connect(client, ("127.0.0.1", server.port))
                sending = asyncio.create_task(loop.sock_sendall(client, MANY * GET))
                await until(lambda: server.connections.open == 1)
                await until(lambda: server.connections.open == 0)  # long before one that idles is closed
                assert closed(server, "not_taken") == 1
                with contextlib.suppress(ConnectionError):
                    await sending
            assert (await server.json())[0] == 200

    run(ask())


@pytest.mark.parametrize("run", LOOPS.values(), ids=LOOPS)
def test_a_client_that_takes_its_answers_in_time_gets_all_of_them(scorer, run):
    async def ask():
        async with served(scorer, timeout_s=20.0) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 16)
            writer.write(200 * GET + GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            await asyncio.sleep(0.2)
            got = await reader.read()
            writer.close()
            return got.count(b"HTTP/1.1 200"), closed(server, "not_taken")

    assert run(ask()) == (201, 0)


def test_an_answer_that_was_taken_late_is_no_reason_to_cut_later():
    class Transport:
        aborted = False

        def abort(self) -> None:
            self.aborted = True

        def set_write_buffer_limits(self, high: int) -> None:
            assert high == 0

    async def ask():
        transport, why = Transport(), []
        connection = Connections(asyncio.Protocol, 1, 0.05, why.append)()
        connection.connection_made(transport)
        connection.pause_writing()
        connection.resume_writing()
        await asyncio.sleep(0.2)
        assert not transport.aborted
        connection.pause_writing()
        await until(lambda: transport.aborted)
        connection.connection_lost(None)
        return why

    assert asyncio.run(ask()) == ["not_taken"]
