"""Bodies of requests: read within a size, a time, and a sum of all that are read at once."""

import asyncio

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError


class BodyReader:
    """Reads bodies of at most ``most_bytes`` each, which take at most ``timeout_s`` to come.

    Args:
        most_together: bytes that all bodies which are still coming may hold at once.
    """

    def __init__(self, most_bytes: int, timeout_s: float, most_together: int) -> None:
        self._most, self._timeout_s, self._most_together = most_bytes, timeout_s, most_together
        self._together = 0

    async def read(self, request: web.Request) -> bytes:
        """The body, refused unread where it says that it is too large, or is encoded.

        Raises web.HTTPException 400 for broken chunks, 408, 413, 415, 429, and ConnectionError where the client goes.
        """
        length = request.content_length
        if "Content-Encoding" in request.headers:
            raise web.HTTPUnsupportedMediaType(text="Content-Encoding is not taken; send the body as it is")
        if length is not None and length > self._most:
            raise self._too_large(length)
        if request.content.is_eof():  # most are, at once
            return await request.content.read()
        late = web.HTTPRequestTimeout(text=f"the body did not come within {self._timeout_s:g} s")
        timer = asyncio.get_running_loop().call_later(self._timeout_s, request.content.set_exception, late)
        try:
            return await self._parts(request)
        except (web.RequestPayloadError, HttpProcessingError):
            raise web.HTTPBadRequest(text="the body is not as its headers say: its length or its chunks") from None
        finally:
            timer.cancel()

    async def _parts(self, request: web.Request) -> bytes:
        parts, size = [], 0
        try:
            while part := await request.content.readany():
                parts.append(part)
                size += len(part)
                self._together += len(part)
                if size > self._most:
                    raise self._too_large(size)
                if self._together > self._most_together:
                    raise web.HTTPTooManyRequests(
                        text="too many bodies are coming at once", headers={"Retry-After": "1"}
                    )
        finally:
            self._together -= size
        return b"".join(parts)

    def _too_large(self, size: int) -> web.HTTPRequestEntityTooLarge:
        text = f"the body has {size:,} bytes or more; allowed: {self._most:,}; send several requests"
        return web.HTTPRequestEntityTooLarge(self._most, size, text=text)
