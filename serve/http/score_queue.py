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
# Of requests that are scored at once: some milliseconds, that each of them then waits for the others
MOST_PAIRS = 1 << 14
MOST_TOGETHER = 64
MOST_LOOKS = 4  # for more requests, before a turn


@dataclass(frozen=True)
class _Job:
    """``work``, a function or a request to score; ``future`` is its result and the seconds that it waited."""

    request: web.Request
    future: asyncio.Future[tuple[Any, float]]
    since: float
    work: Callable[[], Any] | ReadRequest


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
        return await self._queued(request, work)

    async def score(self, request: web.Request, to_score: ReadRequest) -> tuple[Answer, float]:
        """The answer to ``to_score``, and the seconds that it waited. Raises as ``run`` does."""
        return await self._queued(request, to_score)

    async def _queued(self, request: web.Request, work: Callable[[], Any] | ReadRequest) -> tuple[Any, float]:
        self.check_room()
        future = asyncio.get_running_loop().create_future()
        self._jobs.append(_Job(request, future, time.perf_counter(), work))
        self._waiting(len(self._jobs))
        self._wake.set()
        del work  # which an error of the future would hold, by its traceback
        try:
            return await future
        finally:
            del future

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
        pairs, kind = 0, None
        while self._jobs and len(taken) < MOST_TOGETHER:
            work = self._jobs[0].work
            of_next = None if callable(work) else work.kind
            pairs += 0 if callable(work) else work.pairs
            if taken and (of_next is None or of_next != kind or pairs > MOST_PAIRS):
                break
            job = self._jobs.popleft()
            if self._claimed(job):
                taken.append(job)
                kind = of_next
        self._waiting(len(self._jobs))
        return taken

    def _claimed(self, job: _Job) -> bool:
        """Whether it is to be done; one for which nobody waits any more, or one that waited too long, is ended."""
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
            if callable(jobs[0].work):
                return [jobs[0].work()]
            return self._score([job.work for job in jobs if not callable(job.work)])
        except Exception as error:
            return [error] * len(jobs)
