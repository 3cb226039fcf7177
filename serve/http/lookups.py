"""Bounded lookups in a thread, one after the other: neither memory nor scoring pays for what people look up."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web

Result = TypeVar("Result")


class Lookups:
    """At most ``most`` lookups wait or run; one that has waited ``timeout_s`` is not begun any more."""

    def __init__(self, most: int, timeout_s: float) -> None:
        self._most, self._timeout_s = most, timeout_s
        self._turn, self._there = asyncio.Lock(), 0

    async def run(self, request: web.Request, look: Callable[[], Result]) -> Result:
        """What ``look`` returns, in its turn.

        Raises web.HTTPTooManyRequests where too many wait, web.HTTPServiceUnavailable where it waited too long,
        ConnectionResetError where the client has gone, and what ``look`` raises.
        """
        if self._there >= self._most:
            raise web.HTTPTooManyRequests(text=f"{self._most} lookups wait already", headers={"Retry-After": "1"})
        loop = asyncio.get_running_loop()
        until = loop.time() + self._timeout_s
        self._there += 1
        try:
            async with self._turn:
                if request.transport is None or request.transport.is_closing():
                    raise ConnectionResetError("the client has gone")
                if loop.time() > until:
                    text = f"it waited longer than {self._timeout_s:g} s for other lookups"
                    raise web.HTTPServiceUnavailable(text=text, headers={"Retry-After": "1"})
                return await asyncio.to_thread(look)
        finally:
            self._there -= 1
