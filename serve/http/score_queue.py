"""Bounded queue of work, which one task does in turn: what comes beyond it is refused at once.

Scoring runs in the event loop, a process a core. Small requests that wait are scored at once, as what comes with any
request is more than the work of its few candidates. Between two turns the loop reads what has come, so that it can
refuse while it is busy.
"""

import asyncio
import collections
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import web

from serve.answer import Answer
from serve.opened_version import ReadRequest

Result = TypeVar("Result")
MOST_PAIRS = (
    1 << 14
)  # of requests that are scored at once: some milliseconds, that each of them then waits for the others
MOST_TOGETHER = 64
MOST_LOOKS = 4  # for more requests, before a turn


@dataclass(frozen=True)
class _Job:
    """``work``, or ``scored`` together with others; ``future`` is its result and the seconds that it waited."""

    request: web.Request
    future: asyncio.Future[tuple[Any, float]]
    since: float
    work: Callable[[], Any] | None = None
    scored: ReadRequest | None = None

    @property
    def kind(self) -> tuple[object, ...] | None:
        """Jobs of one kind may be done together; None: alone."""
        return None if self.scored is None else self.scored.kind


class ScoreQueue:
    """At most ``most`` jobs wait; one that has waited ``timeout_s`` is not done any more.

    Args:
        score: answers to requests of one kind, or the errors that keep them from being answered.
        waiting: is told how many wait, whenever that changes.
    """

    def __init__(
        self,
        most: int,
        timeout_s: float,
        score: Callable[[Sequence[ReadRequest]], Sequence[Answer | Exception]],
        waiting: Callable[[int], None],
    ) -> None:
        self._most, self._timeout_s, self._score, self._waiting = most, timeout_s, score, waiting
        self._jobs: collections.deque[_Job] = collections.deque()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._jobs)

    def check_room(self) -> None:
        """Raise web.HTTPTooManyRequests where too many wait."""
        if len(self._jobs) >= self._most:
            raise web.HTTPTooManyRequests(text=f"{self._most} requests wait already", headers={"Retry-After": "1"})

    async def run(self, request: web.Request, work: Callable[[], Result]) -> tuple[Result, float]:
        """What ``work`` returns, in its turn, and the seconds that it waited.

        Raises web.HTTPTooManyRequests where too many wait, web.HTTPServiceUnavailable where it waited too long,
        asyncio.CancelledError where the client has gone, and what ``work`` raises.
        """
        return await self._queued(_Job(request, _future(), time.perf_counter(), work=work))

    async def score(self, request: web.Request, scored: ReadRequest) -> tuple[Answer, float]:
        """The answer to ``scored``, and the seconds that it waited. Raises as ``run`` does."""
        return await self._queued(_Job(request, _future(), time.perf_counter(), scored=scored))

    async def _queued(self, job: _Job) -> tuple[Any, float]:
        self.check_room()
        self._jobs.append(job)
        self._waiting(len(self._jobs))
        self._wake.set()
        return await job.future

    async def work(self) -> None:
        """Do jobs as they come, for ever. What ends it ends the process: nothing would be answered any more."""
        while True:
            while not self._jobs:
                self._wake.clear()
                await self._wake.wait()
            await self._more()
            self._do(self._taken())  # of which nothing stays, as each holds the version that it is for
            await asyncio.sleep(0)

    async def _more(self) -> None:
        """Let the loop read what has come, as long as that is more: clients that were answered at once ask at once."""
        for _ in range(MOST_LOOKS):
            known = len(self._jobs)
            await asyncio.sleep(0)
            if len(self._jobs) == known:
                return

    def _taken(self) -> list[_Job]:
        """The next job or, where that is scored, it and those behind it that may be scored with it."""
        taken: list[_Job] = []
        pairs = 0
        while self._jobs and len(taken) < MOST_TOGETHER:
            job = self._jobs[0]
            pairs += job.scored.pairs if job.scored else 0
            if taken and (pairs > MOST_PAIRS or job.kind is None or job.kind != taken[0].kind):
                break
            self._jobs.popleft()
            if self._is_wanted(job):
                taken.append(job)
        self._waiting(len(self._jobs))
        return taken

    def _is_wanted(self, job: _Job) -> bool:
        """Whether somebody still waits for it, and not too long."""
        transport = job.request.transport
        if job.future.done() or transport is None or transport.is_closing():
            job.future.cancel()
            return False
        waited = time.perf_counter() - job.since
        if waited > self._timeout_s:
            text = f"it waited {waited:.1f} s to be scored; allowed: {self._timeout_s:g} s"
            job.future.set_exception(web.HTTPServiceUnavailable(text=text, headers={"Retry-After": "1"}))
            return False
        return True

    def _do(self, jobs: list[_Job]) -> None:
        if not jobs:
            return
        begun = time.perf_counter()
        for job, result in zip(jobs, self._results(jobs), strict=True):
            if isinstance(result, StopIteration):  # which no future takes
                result = RuntimeError(f"StopIteration {result}")
            if isinstance(result, Exception):
                job.future.set_exception(result)
            else:
                job.future.set_result((result, begun - job.since))

    def _results(self, jobs: list[_Job]) -> Sequence[Any]:
        """Of each, or its exception."""
        try:
            if jobs[0].work is not None:
                return [jobs[0].work()]
            return self._score([job.scored for job in jobs if job.scored is not None])
        except Exception as error:
            return [error] * len(jobs)


def _future() -> asyncio.Future[tuple[Any, float]]:
    return asyncio.get_running_loop().create_future()
