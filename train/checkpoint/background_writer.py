"""Runs one action at a time in a background thread, and keeps its error until it is asked for."""

import threading
import time
from collections.abc import Callable


class BackgroundWriter:
    """Runs an action in a daemon thread. What it raises is kept until ``finish`` raises it.

    An event, not Thread.join, says that the action has ended: ^C inside join makes Python take a running thread for
    one that has ended.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._ended: threading.Event | None = None
        self._failure: BaseException | None = None

    @property
    def failed(self) -> bool:
        """Whether the action has ended with an error that nobody was told of."""
        return self._failure is not None

    @property
    def running(self) -> bool:
        return self._ended is not None and not self._ended.is_set()

    def start(self, action: Callable[[], None]) -> None:
        assert self._ended is None, "finish the action before"
        self._ended = threading.Event()
        threading.Thread(target=self._run, args=(action, self._ended), name=self._name, daemon=True).start()

    def finish(self) -> float:
        """Wait for the action; the seconds that it took. Raises what the action raised."""
        began = time.monotonic()
        if self._ended is not None:
            self._ended.wait()
            self._ended = None
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        return time.monotonic() - began

    def settle(self, timeout_s: float) -> bool:
        """Wait for the action, at most so long, whatever comes of it; whether it has ended."""
        if self._ended is not None:
            self._ended.wait(timeout_s)
        return not self.running

    def _run(self, action: Callable[[], None], ended: threading.Event) -> None:
        try:
            action()
        except BaseException as error:
            self._failure = error
        finally:
            ended.set()
