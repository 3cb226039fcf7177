"""Who waits for items' vectors: told once they are in the index, or why there is none."""

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Outcome:
    """What became of an item's content.

    revision  of the content log: of the content that came in, or of a newer one of that item
    sequence  of the index's commit after which readers see the vector, or none of a deleted item; 0 with a reason
    reason    why there is no vector; None where there is one, and of a deletion
    """

    item: int
    revision: int
    sequence: int
    reason: str | None = None


@dataclass(eq=False)
class _Wanted:
    """What one request waits for: item -> the revision that it came with."""

    revisions: dict[int, int]
    outcomes: list[Outcome] = field(default_factory=list)
    future: "Future[list[Outcome]]" = field(default_factory=Future)


class Waiting:
    """Futures of outcomes. Whoever appends to the log holds ``lock`` until it has called ``add``."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._of_item: dict[int, list[_Wanted]] = {}

    def add(self, revisions: Mapping[int, int]) -> "Future[list[Outcome]]":
        """A future of the outcomes of items, each as of its revision or a later one."""
        wanted = _Wanted(dict(revisions))
        for item in revisions:
            self._of_item.setdefault(item, []).append(wanted)
        if not revisions:
            wanted.future.set_result([])
        return wanted.future

    def tell(self, outcomes: Iterable[Outcome]) -> None:
        """Tell those who wait for these."""
        with self.lock:
            done = [wanted for outcome in outcomes for wanted in self._told(outcome)]
        _set(done)

    def passed(self, revision: int, reason: Callable[[int], str | None]) -> None:
        """Tell those who wait for ``revision`` or an earlier one: another encoder, now active, has encoded them.

        Args:
            reason: item -> why it has no vector, or None.
        """
        with self.lock:
            items = [i for i, some in self._of_item.items() if any(w.revisions[i] <= revision for w in some)]
            outcomes = [Outcome(item, revision, 0, reason(item)) for item in items]
            done = [wanted for outcome in outcomes for wanted in self._told(outcome)]
        _set(done)

    def _told(self, outcome: Outcome) -> list[_Wanted]:
        """Whoever waits for nothing more then."""
        done, later = [], []
        for wanted in self._of_item.pop(outcome.item, ()):
            if wanted.revisions[outcome.item] > outcome.revision:
                later.append(wanted)
                continue
            wanted.outcomes.append(outcome)
            if len(wanted.outcomes) == len(wanted.revisions):
                done.append(wanted)
        if later:
            self._of_item[outcome.item] = later
        return done


def _set(done: Iterable[_Wanted]) -> None:
    for wanted in done:
        if wanted.future.set_running_or_notify_cancel():
            wanted.future.set_result(wanted.outcomes)
