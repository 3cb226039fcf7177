"""Group commit: changes of several threads that wait for the disk are written by one of them, together."""

import threading
from collections.abc import Callable, Sequence

from embeddings.errors import InputError, first_line
from embeddings.index.changes import Change


class GroupCommit:
    """Changes come in, each from a thread that waits; whoever has ``lock`` writes all that wait.

    Args:
        write: commits changes of one encoder, in their order, together. Raises InputError, and none is committed.
    """

    def __init__(self, write: Callable[[int, Sequence[Change]], None]) -> None:
        self.lock = threading.Lock()
        self._write = write
        self._waiting: list[Change] = []
        self._adding = threading.Lock()

    def committed(self, change: Change) -> Change:
        """``change``, once it is committed. Raises InputError where it is not."""
        with self._adding:
            self._waiting.append(change)
        with self.lock:
            if not change.done:
                with self._adding:
                    together, self._waiting = self._waiting, []
                self._commit(together)
        if change.error is not None:
            raise change.error
        return change

    def _commit(self, together: list[Change]) -> None:
        for number in dict.fromkeys(change.number for change in together):
            changes = [change for change in together if change.number == number]
            try:
                self._write(number, changes)
            except InputError as error:
                for change in changes:
                    change.error = error
            except BaseException as error:
                for change in together:
                    if not change.done:
                        change.error = InputError(f"the commit failed: {first_line(error)}; nothing of this was put")
                        change.done = True
                raise
            for change in changes:
                change.done = True
