"""What all ranks agree on about once a second: to save, to stop, that a save has failed. No exchange in between."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import torch
import torch.distributed as dist

from train.distributed.process_group import Ranks
from train.distributed.signals import SAME_S

_EVERY_S = 1.0
_MOST_STEPS = 1000


@dataclass(frozen=True)
class Wishes:
    """What a rank wants, or what at least one rank wants.

    stop    SIGTERM has come: save, then end
    save    the time for a checkpoint has come
    failed  a save has failed
    """

    stop: bool = False
    save: bool = False
    failed: bool = False


class Agreement:
    """Exchanges wishes every so many steps, as many as take rank 0 a second, so that all ranks know the next time."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._steps, self._next = 0, 1
        self._began = time.monotonic()

    def due(self) -> bool:
        """Count one step. Whether all ranks, which all call this once a step, exchange their wishes after it."""
        self._steps += 1
        return self._ranks.world_size == 1 or self._steps >= self._next

    def exchange(self, own: Wishes) -> Wishes:
        """The wishes of all ranks together, the same on every rank."""
        if self._ranks.world_size == 1:
            return own
        now = time.monotonic()
        steps = int(self._steps * _EVERY_S / max(now - self._began, 1e-6))
        following = min(max(steps, 1), _MOST_STEPS) if self._ranks.first else 0
        sent = torch.tensor([own.stop, own.save, own.failed, following])
        dist.all_reduce(sent, op=dist.ReduceOp.MAX)
        self._steps, self._began, self._next = 0, now, int(sent[3])
        return Wishes(*map(bool, sent[:3].tolist()))


class Stop:
    """A SIGTERM that has come, and how long there is until the work must have ended."""

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._until: float | None = None
        self._before: object = None

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


@contextmanager
def stop_on_sigterm(grace_s: float) -> Iterator[Stop]:
    """While inside, SIGTERM is noted; the work has ``grace_s`` to end by itself, then KeyboardInterrupt ends it."""
    stop = Stop(grace_s)
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
        signal.signal(signal.SIGTERM, stop._before)  # type: ignore[arg-type]
