"""Prefetch thread: runs an iterator ahead of its consumer, with a bounded queue between them."""

import queue
import threading
from collections.abc import Iterator
from typing import Any


class PrefetchThread:
    """Runs an iterator in a thread, at most ``prefetch`` results ahead of whoever asks for them."""

    def __init__(self, results: Iterator[Any], prefetch: int, name: str) -> None:
        self._queue: queue.Queue = queue.Queue(prefetch)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(results,), name=name, daemon=True)
        self._thread.start()

    def get(self) -> Any:
        """The next result; waits for it. Raises what the iterator raised."""
        result, error = self._queue.get()
        if error is not None:
            raise error
        return result

    def close(self) -> None:
        """End the thread: it stops at its next result."""
        self._stopped.set()
        while not self._queue.empty():  # frees a thread that waits for room; after that it looks at _stopped
            self._queue.get_nowait()
        self._thread.join()

    def _run(self, results: Iterator[Any]) -> None:
        try:
            for result in results:
                if self._stopped.is_set():
                    return
                self._queue.put((result, None))
            raise AssertionError("more results were asked for than there are")  # instead of waiting for ever
        except BaseException as error:
            if not self._stopped.is_set():
                self._queue.put((None, error))
