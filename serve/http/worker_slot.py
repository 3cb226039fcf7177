"""The place of one worker process, in which another takes over where it ended."""

import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from embeddings.errors import InputError, first_line, for_terminal
from serve.http.log import log
from serve.http.retry_wait import RetryWait

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0  # before a worker that keeps ending is started again
_LASTING_S = 60.0  # a worker that lived so long did not fail at its start


class WorkerSlot:
    """``start`` starts a process and returns it and the pipe on which it says that it answers, or why it cannot."""

    def __init__(self, start: Callable[[], tuple[BaseProcess, Connection]], ended: Callable[[], None]) -> None:
        self._start, self._ended = start, ended
        self._process: BaseProcess | None = None
        self._said: Connection | None = None
        self._since = 0.0
        self._wait = RetryWait(_FIRST_WAIT_S, _LONGEST_WAIT_S)

    def start(self) -> None:
        """Start a worker."""
        self._process, self._said = self._start()
        self._since = time.monotonic()

    @property
    def sentinel(self) -> int | None:
        """What ``multiprocessing.connection.wait`` waits on for the worker's end; None where there is no worker."""
        return self._process.sentinel if self._process is not None else None

    def wait_ready(self, stopping: threading.Event) -> None:
        """Wait until the worker answers. Raises InputError where it says why it cannot, or ends without a word."""
        assert self._said is not None
        while not stopping.is_set():
            if self._said.poll(0.1):
                if (why := self._why_not()) is not None:
                    raise InputError(why)
                return

    def restart_where_ended(self) -> None:
        """Start another worker where the one before ended, after a while that doubles with each that lives shortly."""
        now = time.monotonic()
        if self._process is not None and not self._process.is_alive():
            if now - self._since > _LASTING_S:
                self._wait.reset()
            self._report(self._process, self._wait.failed(now))
            self._close()
            self._ended()
        if self._process is None and self._wait.over(now):
            try:
                self.start()
            except OSError as error:  # no process or no memory to be had
                wait_s = self._wait.failed(now)
                log(f"no worker can be started: {first_line(error)}; next try in {wait_s:g} s")

    def terminate(self) -> None:
        """Ask the worker to end."""
        if self._process is not None:
            self._process.terminate()

    def join(self, until: float, hurry: threading.Event) -> None:
        """Wait for its end; it is killed at ``until``, of ``time.monotonic``, or where there is a ``hurry``."""
        if self._process is None:
            return
        while self._process.is_alive() and time.monotonic() < until and not hurry.is_set():
            self._process.join(0.1)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._close()

    def _report(self, process: BaseProcess, wait_s: float) -> None:
        said = self._said
        why = self._why_not() if said is not None and said.poll() else None
        what = f"ended with status {process.exitcode}" if why is None or process.exitcode != 1 else for_terminal(why)
        log(f"worker {process.pid}: {what}; another one starts in {wait_s:g} s")

    def _why_not(self) -> str | None:
        """Why the worker does not answer; None where it does."""
        assert self._said is not None
        try:
            said = self._said.recv()
        except (EOFError, OSError):
            return "a worker ended before it could serve; what it said stands above"
        return said if isinstance(said, str) else None

    def _close(self) -> None:
        """Let go of a worker that has ended."""
        if self._process is not None:
            self._process.join()
            self._process.close()
        if self._said is not None:
            self._said.close()
        self._process = self._said = None
