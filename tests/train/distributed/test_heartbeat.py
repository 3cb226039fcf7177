"""Signs of life through a real store: slow ones, absent ones, ranks that end, a store that is gone."""

import time
from collections.abc import Callable

import pytest
import torch.distributed as dist

from train.distributed import heartbeat
from train.distributed.heartbeat import Heartbeat


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    for name, seconds in (("BEAT_S", 0.02), ("_ANSWER_S", 0.5), ("_VERDICT_S", 0.2)):
        monkeypatch.setattr(heartbeat, name, seconds)


@pytest.fixture
def store() -> dist.Store:
    return dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)


def until(true: Callable[[], bool]) -> None:
    stop = time.monotonic() + 20
    while not true():
        assert time.monotonic() < stop
        time.sleep(0.01)


def beats(rank: Heartbeat, of: int) -> int:
    return rank._read()[of].get("beats", 0)


class Slow:
    """A store whose first answer takes longer than anyone waits."""

    def __init__(self, store: dist.Store) -> None:
        self._store, self._slow = store, True

    def set(self, key: str, value: str) -> None:
        if self._slow:
            self._slow = False
            time.sleep(3 * heartbeat._ANSWER_S)
        self._store.set(key, value)


def test_a_slow_answer_does_not_end_the_beats(store):
    first, second = Heartbeat(store, 0, 2), Heartbeat(Slow(store), 1, 2)
    until(lambda: beats(first, 1) > 3)
    first.close(), second.close()
    assert first._read()[1]["end"] == "ended"


def test_a_rank_that_never_beat_is_named_and_the_others_are_heard(store):
    first, third = Heartbeat(store, 0, 4), Heartbeat(store, 2, 4)
    third.mark("after step 7")
    last = Heartbeat(store, 3, 4)
    last.close()
    words = first.missing()
    assert words == (
        "rank 1 gives no sign of life; it was never seen, "
        "and rank 2 is alive, but did not arrive; it was last seen after step 7"
    )
    first.close(), third.close()


def test_a_rank_that_beat_no_more(store):
    first, second = Heartbeat(store, 0, 2), Heartbeat(store, 1, 2)
    second.mark("after step 3")
    until(lambda: first._read()[1].get("doing") == "after step 3")
    second._stopped.set()  # as kill -9 does
    second._thread.join()
    assert first.missing() == "rank 1 gives no sign of life; it was last seen after step 3"
    first.close()


def test_all_notice(store):
    first, second = Heartbeat(store, 0, 2), Heartbeat(store, 1, 2)
    second.close("lost")
    assert first.missing() == ""
    first.close()


def test_a_store_that_is_gone():
    held = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    client = dist.TCPStore("127.0.0.1", held.port, is_master=False, wait_for_workers=False)
    second = Heartbeat(client, 1, 2)
    del held
    assert second.missing() == "rank 0 does not answer, through which the ranks met"
    second.close()
    second._thread.join(20)
    assert not second._thread.is_alive()
