"""Bounds of a process's connections: how many are open at once, and how long an answer may wait to be taken.

aiohttp has neither. Its connections are asyncio protocols, so each is wrapped in one that passes everything on.
"""

import asyncio
from collections.abc import Callable
from typing import Any


class Connections:
    """Makes a protocol for each new connection, as ``loop.create_server`` wants it.

    One beyond the ``most`` that are open is closed at once. One whose client does not take an answer within
    ``timeout_s`` is cut: what the system does not hold for it stays in our memory. No next request is read meanwhile.
    (An answer that the system holds whole is none of ours; aiohttp closes such a connection once it has idled.)

    Args:
        protocol: makes what answers on a connection.
        closed: is told why a connection was closed: "too_many" or "not_taken".
    """

    def __init__(
        self, protocol: Callable[[], asyncio.Protocol], most: int, timeout_s: float, closed: Callable[[str], None]
    ) -> None:
        self.protocol, self.most, self.timeout_s, self.closed = protocol, most, timeout_s, closed
        self.open = 0

    def __call__(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        return _Connection(self)


class _Connection(asyncio.Protocol):
    """Passes on what happens to the protocol that answers, and watches how long the transport's buffer is not empty."""

    def __init__(self, of: Connections) -> None:
        self._of, self._protocol = of, asyncio.Protocol()  # which does nothing, for one that is refused
        self._is_open = False
        self._cutting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        if self._of.open >= self._of.most:
            transport.abort()
            self._of.closed("too_many")
            return
        self._of.open += 1
        self._is_open = True
        transport.set_write_buffer_limits(high=0)  # writing pauses wherever the system does not take all at once
        self._protocol = self._of.protocol()
        self._protocol.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        self._cutting = asyncio.get_running_loop().call_later(self._of.timeout_s, self._cut)
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._keep()
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._keep()
        self._of.open -= self._is_open
        self._protocol.connection_lost(exc)

    def _keep(self) -> None:
        if self._cutting is not None:
            self._cutting.cancel()
            self._cutting = None

    def _cut(self) -> None:
        self._cutting = None
        self._of.closed("not_taken")
        self._transport.abort()
