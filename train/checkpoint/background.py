"""One piece of work at a time in a thread beside the training."""

import threading
import time
from collections.abc import Callable


class Background:
    """Runs an action in a thread. What it raises is kept until someone asks for it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None

    @property
    def failed(self) -> bool:
        """Whether the action has ended with an error that nobody was told of."""
        return self._failure is not None

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self, action: Callable[[], None]) -> None:
        assert self._thread is None, "finish the action before"
        self._thread = threading.Thread(target=self._run, args=(action,), name=self._name, daemon=True)
        self._thread.start()

    def finish(self) -> float:
        """Wait for the action; the seconds that it took. Raises what the action raised."""
        began = time.monotonic()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        return time.monotonic() - began

    def settle(self, timeout_s: float) -> bool:
        """Wait for the action, at most so long, whatever comes of it; whether it has ended."""
        if self._thread is not None:
            self._thread.join(timeout_s)
        return not self.running

    def _run(self, action: Callable[[], None]) -> None:
        try:
            action()
        except BaseException as error:
            self._failure = error
