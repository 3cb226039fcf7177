"""Signals that end a run: as ^C does, or as a request to save within a grace; those within 2 s of another are one."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

# A scheduler's or a user's kill, a terminal that closes, and warnings that time is nearly over: Slurm's --signal, and
# limits of time on other schedulers. ^C is not one of them: it ends a run at once.
SAVING = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
_REPEATED = signal.SIGXCPU  # once a second by itself, so that it says nothing new
SAME_S = 2.0  # a scheduler signals every process of a job, and a launcher passes the same signal on


def _heeded() -> list[signal.Signals]:
    """The signals that save, but for those that whoever started us has us ignore, as nohup does with SIGHUP."""
    return [number for number in SAVING if signal.getsignal(number) is not signal.SIG_IGN]


@dataclass
class Ended:
    """The first signal that has ended the work, if any has, and when the last one came."""

    by: signal.Signals | None = None
    at: float = 0.0


@contextlib.contextmanager
def signals_as_interrupt() -> Iterator[Ended]:
    """While inside, each signal of ``SAVING`` ends the work as ^C does; what is yielded tells which one has."""
    ended = Ended()

    def stop(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if ended.by is None or (now - ended.at >= SAME_S and number != _REPEATED):
            ended.by, ended.at = ended.by or signal.Signals(number), now
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in _heeded()}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class StopRequest:
    """A signal of ``SAVING`` that has come, and how long there is until the work must have ended."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._until: float | None = None
        self._by: int = signal.SIGTERM  # where it came to another rank
        self._before: dict[int, Any] = {}

    @property
    def asked(self) -> bool:
        return self._until is not None

    @property
    def left_s(self) -> float:
        """Seconds left; the whole grace where nobody has asked yet."""
        return self._grace_s if self._until is None else max(0.0, self._until - time.monotonic())

    def now(self) -> None:
        """End as the signal ends a program that does not wait. Raises KeyboardInterrupt."""
        before = self._before.get(self._by)
        if callable(before):
            before(self._by, None)
        raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._until is not None:
            since = time.monotonic() - (self._until - self._grace_s)
            if number != signal.SIGALRM and (since < SAME_S or number == _REPEATED):
                return
            self.now()  # a second signal, or the end of the grace
        self._until, self._by = time.monotonic() + self._grace_s, number
        signal.setitimer(signal.ITIMER_REAL, self._grace_s)


@contextlib.contextmanager
def stop_on_signals(grace_s: float) -> Iterator[StopRequest]:
    """While inside, signals of ``SAVING`` are noted: the work has ``grace_s`` to end, then a KeyboardInterrupt."""
    stop = StopRequest(grace_s)
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    stop._before = {number: signal.signal(number, stop._note) for number in _heeded()}
    alarm = signal.signal(signal.SIGALRM, stop._note)
    try:
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm)
        for number, handler in stop._before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """This process is ending with words of its own; a launcher that ends all ranks when one fails must not cut them."""
    if threading.current_thread() is threading.main_thread():
        for number in SAVING:
            signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """While a run's end is written: no signal cuts it. A launcher passes on the ^C that its ranks got already."""
    ignore_signals()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
