"""SIGTERM as ^C, and when a second one is the same one."""

import contextlib
import signal
import time
from collections.abc import Iterator
from types import FrameType

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
