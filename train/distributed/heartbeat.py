"""Heartbeats of the ranks through the rendezvous store, so that a lost or hanging rank can be named."""

import contextlib
import datetime
import json
import threading
import time
from collections.abc import Callable, Generator
from typing import TypeVar

import torch.distributed as dist

from train.distributed.launcher import Launcher

Item = TypeVar("Item")
Result = TypeVar("Result")

BEAT_S = 1.0
_ANSWER_S = 3.0  # of the store
_VERDICT_S = 3.0  # for the other ranks to notice too


class Heartbeat:
    """Beats once a second in a thread of its own, which goes on while the main thread waits, unless all stands still.

    Args:
        store: of this rank's own connection, as the thread and the main one use it at once.
    """

    def __init__(self, store: dist.Store, rank: int, world_size: int) -> None:
        self._store, self._rank, self._others = store, rank, [r for r in range(world_size) if r != rank]
        self._beats, self._place, self._waiting, self._end = 0, "at the start", "", ""
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def mark(self, place: str) -> None:
        """Note where this rank is. Costs next to nothing."""
        self._place = place

    def around(self, items: Generator[Item, None, None], waiting: str) -> Generator[Item, None, None]:
        """``items``, with ``waiting`` noted while one is waited for."""
        with contextlib.closing(items):
            while True:
                self._waiting = f", {waiting}"
                try:
                    item = next(items)
                except StopIteration:
                    return
                finally:
                    self._waiting = ""
                yield item

    def close(self, end: str = "ended") -> None:
        """Stop beating; ``end`` is how the others know that this rank is gone on purpose."""
        self._stopped.set()
        self._end = self._end or end
        self._within(self._beat)

    def missing(self) -> str:
        """Which ranks neither end nor notice that a connection is lost; an empty text where all do.

        Waits a few seconds, until all other ranks have been heard.
        """
        self._end = "lost"
        self._within(self._beat)
        first = self._read()
        latest, until = first, time.monotonic() + _VERDICT_S
        while (
            time.monotonic() < until and latest is not None and any(not state.get("end") for state in latest.values())
        ):
            time.sleep(BEAT_S / 2)
            latest = self._read()
        if latest is None or first is None:
            return "rank 0 does not answer, through which the ranks met"
        words = []
        for rank, state in latest.items():
            if not state.get("end"):
                silent = state.get("beats") == first[rank].get("beats")
                how = "gives no sign of life" if silent else "is alive, but did not arrive"
                seen = f"was last seen {state['doing']}" if state else "was never seen"
                words.append(f"rank {rank} {how}; it {seen}")
        return ", and ".join(words)

    def _run(self) -> None:
        """Beats until the store is gone for good. One that is slow to answer is waited for."""
        with contextlib.suppress(RuntimeError, dist.DistError):
            while True:
                with self._lock:
                    self._beat()
                if self._stopped.wait(BEAT_S):
                    return

    def _beat(self) -> None:
        self._beats += 1
        state = {"beats": self._beats, "doing": self._place + self._waiting, "end": self._end}
        self._store.set(str(self._rank), json.dumps(state))

    def _read(self) -> dict[int, dict] | None:
        """The last state of every other rank, empty where it never beat; None where the store is gone."""
        return self._within(lambda: {r: self._state_of(str(r)) for r in self._others})

    def _state_of(self, rank: str) -> dict:
        return json.loads(self._store.get(rank)) if self._store.check([rank]) else {}

    def _within(self, action: Callable[[], Result]) -> Result | None:
        """What ``action`` returns; None where the store has gone with its rank, or stands still with it.

        A thread of its own, as the store's client waits for an answer without an end.
        """
        answer: list[Result] = []

        def run() -> None:
            with contextlib.suppress(RuntimeError, dist.DistError), self._lock:
                answer.append(action())

        thread = threading.Thread(target=run, name="heartbeat-store", daemon=True)
        thread.start()
        thread.join(_ANSWER_S)
        return answer[0] if answer else None


def begin_heartbeat(launched: Launcher) -> Heartbeat | None:
    """This rank's heartbeat; None where it is the only one. The process group must be there."""
    if launched.world_size == 1 or launched.master_addr is None:
        return None
    store = dist.TCPStore(
        launched.master_addr,
        launched.master_port,
        is_master=False,
        wait_for_workers=False,
        timeout=datetime.timedelta(seconds=30),
    )
    store.set_timeout(datetime.timedelta(seconds=_ANSWER_S))
    return Heartbeat(dist.PrefixStore(f"heartbeat/{launched.attempt}", store), launched.rank, launched.world_size)
