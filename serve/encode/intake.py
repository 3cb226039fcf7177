"""Intake: changes of items from anywhere, kept in the content log before anybody is told so, several at a time."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from serve.encode.content_log import Change, ContentLog
from serve.encode.waiting import Outcome, Waiting

Accepted = Future[list[Outcome]]  # done once the vectors are in the index


class Intake:
    """Appends what comes from many threads; what waits for the disk is appended together."""

    def __init__(self, log: ContentLog, waiting: Waiting) -> None:
        self._log, self._waiting = log, waiting
        self._adding = threading.Lock()
        self._pending: list[tuple[Sequence[Change], Future[Accepted]]] = []
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="content log")

    def accept(self, changes: Sequence[Change]) -> Future[Accepted]:
        """A future that is done once ``changes`` are on disk, with another one of their outcomes. Of an item that
        repeats, the last content counts.

        The future raises NotStored where the log takes no more; none of ``changes`` is in it then.
        """
        future: Future[Accepted] = Future()
        with self._adding:
            self._pending.append((list({change.item: change for change in changes}.values()), future))
        self._disk.submit(self._append)
        return future

    def _append(self) -> None:
        with self._adding:
            together, self._pending = self._pending, []
        if not together:
            return  # somebody took ours along
        changes = [change for some, _ in together for change in some]
        try:
            with self._waiting.lock:  # or an outcome could come before anybody waits for it
                revisions = iter(self._log.append(changes))
                accepted = [self._waiting.add({c.item: next(revisions) for c in some}) for some, _ in together]
        except Exception as error:
            for _, future in together:
                if future.set_running_or_notify_cancel():  # who has gone waits no more
                    future.set_exception(error)
            return
        for (_, future), outcomes in zip(together, accepted, strict=True):
            if future.set_running_or_notify_cancel():
                future.set_result(outcomes)

    def close(self) -> None:
        """Append what waits, and no more."""
        self._disk.shutdown()
