"""SIGTERM: as ^C, or as a request to stop within a grace period; signals within 2 s of each other are one."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

SAME_S = 2.0  # a scheduler signals every process of a job, and a launcher passes the same signal on


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[list[float]]:
    """While inside, SIGTERM ends the work as ^C does; the list that is yielded is then no longer empty."""
    ended: list[float] = []  # when

    def stop(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not ended or now - ended[-1] >= SAME_S:
            ended.append(now)
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield ended
    finally:
        signal.signal(signal.SIGTERM, before)


class StopRequest:
    """A SIGTERM that has come, and how long there is until the work must have ended."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._until: float | None = None
        self._before: Callable[[int, FrameType | None], Any] | int | None = None

    @property
    def asked(self) -> bool:
        return self._until is not None

    @property
    def left_s(self) -> float:
        """Seconds left; the whole grace where nobody has asked yet."""
        return self._grace_s if self._until is None else max(0.0, self._until - time.monotonic())

    def now(self) -> None:
        """End as SIGTERM ends a program that does not wait. Raises KeyboardInterrupt."""
        if callable(self._before):
            self._before(signal.SIGTERM, None)
        raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._until is not None:
            since = time.monotonic() - (self._until - self._grace_s)
            if number == signal.SIGTERM and since < SAME_S:
                return
            self.now()  # a second SIGTERM, or the end of the grace
        self._until = time.monotonic() + self._grace_s
        signal.setitimer(signal.ITIMER_REAL, self._grace_s)


@contextlib.contextmanager
def stop_on_sigterm(grace_s: float) -> Iterator[StopRequest]:
    """While inside, SIGTERM is noted; the work has ``grace_s`` to end by itself, then KeyboardInterrupt ends it."""
    stop = StopRequest(grace_s)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    stop._before = signal.signal(signal.SIGTERM, stop._note)
    alarm = signal.signal(signal.SIGALRM, stop._note)
    try:
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm)
        signal.signal(signal.SIGTERM, stop._before)


def ignore_sigterm() -> None:
    """This process is ending with words of its own; a launcher that ends all ranks when one fails must not cut them."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """While a run's end is written: no signal cuts it. A launcher passes on the ^C that its ranks got already."""
    ignore_sigterm()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
