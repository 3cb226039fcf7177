"""Bodies and what comes before them, as bytes on a socket: lies, slowness, sizes; all end in time."""

import asyncio
import http.client
import json
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.http_exceptions import TransferEncodingError

from serve.http import guarded_application
from serve.http.body import BodyReader
from serve.request.media_types import JSON
from tests.serve.http.served import head, served

TOKEN = "a-token-of-enough-letters"

# bytes that are sent -> what the answer begins with, and words in it; each connection is closed by the server
RAW = {
    "a length too large, before the body": (head(length=1 << 30), "413", "allowed: 65,536"),
    "chunks without end": (head("Transfer-Encoding: chunked") + b"8000\r\n" + b" " * 0x8000 + b"\r\n", "408", "0.4 s"),
    "chunks too many": (
        head("Transfer-Encoding: chunked") + (b"8000\r\n" + b" " * 0x8000 + b"\r\n") * 4,
        "413",
        "allowed: 65,536",
    ),
    "bad chunks": (head("Transfer-Encoding: chunked") + b"5\r\nabcdefghij\r\n", "400", ""),
    "a body that does not come": (head(length=50), "408", "did not come within 0.4 s"),
    "half a body": (head(length=50) + b"{", "408", "did not come within 0.4 s"),
    "both lengths": (head("Transfer-Encoding: chunked", length=5) + b"0\r\n\r\n", "400", ""),
    "a token that is no text": (head("Authorization: Bearer \udcff\udcfe", length=2) + b"{}", "401", ""),
    "no host": (b"GET /v1/model HTTP/1.0\r\n\r\n", "421", ""),
    "a host that is none": (b"GET /v1/model HTTP/1.1\r\nHost: [::1\r\n\r\n", "421", ""),
    "headers too long": (head("X: " + "x" * 9000, length=0), "400", ""),
    "headers too many": (head(*[f"X{i}: x" for i in range(100)], length=0), "400", ""),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01" + bytes(100) + b"\r\n\r\n", "400", ""),
    "headers that come slowly": (b"POST /v1/sc", "", ""),
    "nothing": (b"", "", ""),
}


@pytest.mark.parametrize("case", RAW)
def test_bytes_that_are_no_request(scorer, case, monkeypatch, capfd):
    sent, status, words = RAW[case]
    monkeypatch.setattr(guarded_application, "HEADERS_S", 0.4)
    monkeypatch.setattr(guarded_application, "LINGER_S", 0.2)
    monkeypatch.setattr("socket.getfqdn", lambda *_: pytest.fail("the name of this machine was looked up"))

    async def ask():
        async with served(scorer, token=TOKEN if status == "401" else None, body_bytes=65_536, timeout_s=0.4) as server:
            got = await server.raw(sent)
            assert (await server.ask("/health", "GET"))[0] == 200
            return got.decode()

    got = asyncio.run(ask())
    assert got[9:12] == status and words in got
    assert not any(word in got for word in ("Python", "aiohttp", "Traceback", "/site-packages/"))
    if status not in ("", "400"):
        assert list(json.loads(got.partition("\r\n\r\n")[2])) == ["error"] and "Server: tierwise\r\n" in got
    assert capfd.readouterr() == ("", "")


def test_chunks_that_break_while_they_are_read(scorer):
    """aiohttp's parser in C ends there and tells nobody, so time has to; the one in Python raises."""

    async def ask():
        async with served(scorer, timeout_s=0.5) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(head("Transfer-Encoding: chunked") + b"5\r\nabcde\r\n")
            while not server.application._under_way:
                await asyncio.sleep(0.01)
            writer.write(b"no length\r\n")
            answer = await reader.read()
            writer.close()
            return answer

    assert asyncio.run(ask())[9:12] in (b"400", b"408")


@pytest.mark.parametrize("error", [web.RequestPayloadError("broken"), TransferEncodingError("broken")])
def test_what_a_parser_says_of_a_body_is_400(error):
    class Broken:
        def is_eof(self):
            return False

        async def readany(self):
            raise error

    async def read():
        request = SimpleNamespace(content_length=None, headers={}, content=Broken())
        request.content.set_exception = None
        await BodyReader(10, 5.0, 10).read(request)

    with pytest.raises(web.HTTPBadRequest) as got:
        asyncio.run(read())
    assert got.value.text == "the body is not as its headers say: its length or its chunks"


def test_the_sender_of_a_body_too_large_sees_why(scorer):
    def post(port: int) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("POST", "/v1/score", b" " * (8 << 20), {"Content-Type": JSON})
        answer = connection.getresponse()
        read = answer.read()
        connection.close()
        return answer.status, read

    async def ask():
        async with served(scorer, body_bytes=1000) as server:
            return await asyncio.to_thread(post, server.port)

    status, body = asyncio.run(ask())
    assert status == 413 and b"allowed: 1,000" in body


def test_bodies_that_come_at_once_are_bounded_together(scorer):
    async def ask():
        async with served(scorer, body_bytes=100_000, waiting=1, timeout_s=20.0) as server:
            late = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
            for _, writer in late:
                writer.write(head(length=90_000) + b" " * 60_000)
                await writer.drain()
            done = await asyncio.wait(
                [asyncio.create_task(reader.read(12)) for reader, _ in late], return_when=asyncio.FIRST_COMPLETED
            )
            late[0][1].write(b" " * 30_000)
            late[1][1].write(b" " * 30_000)
            both = [task.result() for task in done[0]] + [await task for task in done[1]]
            for _, writer in late:
                writer.close()
            return both, await server.json()

    both, (status, _, _) = asyncio.run(ask())
    assert sorted(both) == [b"HTTP/1.1 400", b"HTTP/1.1 429"] and status == 200
