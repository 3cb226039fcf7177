"""Bounded queue of requests, which one task scores in turn: what comes beyond it is refused at once.

Scoring runs in the event loop, a process a core. Between two requests the loop reads what has come, so that it can
refuse while it is busy.
"""

import asyncio
import collections
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import web

Result = TypeVar("Result")


@dataclass(frozen=True)
class _Job:
    """``work`` for ``request``; ``future`` is its result and the seconds that it waited."""

    work: Callable[[], Any]
    request: web.Request
    future: asyncio.Future[tuple[Any, float]]
    since: float


class ScoreQueue:
    """At most ``most`` jobs wait; one that has waited ``timeout_s`` is not done any more."""

    def __init__(self, most: int, timeout_s: float) -> None:
        self._most, self._timeout_s = most, timeout_s
        self._jobs: collections.deque[_Job] = collections.deque()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._jobs)

    async def run(self, request: web.Request, work: Callable[[], Result]) -> tuple[Result, float]:
        """What ``work`` returns, in its turn, and the seconds that it waited.

        Raises web.HTTPTooManyRequests where too many wait, web.HTTPServiceUnavailable where it waited too long,
        asyncio.CancelledError where the client has gone, and what ``work`` raises.
        """
        if len(self._jobs) >= self._most:
            raise web.HTTPTooManyRequests(text=f"{self._most} requests wait already", headers={"Retry-After": "1"})
        job = _Job(work, request, asyncio.get_running_loop().create_future(), time.perf_counter())
        self._jobs.append(job)
        self._wake.set()
        return await job.future

    async def work(self) -> None:
        """Do jobs as they come, for ever. What ends it ends the process: nothing would be answered any more."""
        while True:
            while not self._jobs:
                self._wake.clear()
                await self._wake.wait()
            job = self._jobs.popleft()
            transport = job.request.transport
            if job.future.done() or transport is None or transport.is_closing():
                job.future.cancel()  # nobody waits for it
                continue
            self._do(job)
            await asyncio.sleep(0)

    def _do(self, job: _Job) -> None:
        waited = time.perf_counter() - job.since
        if waited > self._timeout_s:
            text = f"it waited {waited:.1f} s to be scored; allowed: {self._timeout_s:g} s"
            job.future.set_exception(web.HTTPServiceUnavailable(text=text, headers={"Retry-After": "1"}))
            return
        try:
            job.future.set_result((job.work(), waited))
        except StopIteration as error:  # which no future takes
            job.future.set_exception(RuntimeError(f"StopIteration {error}"))
        except Exception as error:
            job.future.set_exception(error)
