"""A worker's place: what it says at its start, what follows its end, and how long that takes."""

import multiprocessing
import threading
import time

import pytest

from embeddings.errors import InputError
from serve.http import worker_slot
from serve.http.worker_slot import WorkerSlot


class Fake:
    """A process that lives until it is told otherwise."""

    def __init__(self, deaf: bool = False) -> None:
        self.pid, self.exitcode, self.sentinel, self.deaf, self.asked = 77, None, 0, deaf, []

    def is_alive(self):
        return self.exitcode is None

    def terminate(self):
        self.asked.append("terminate")
        if not self.deaf:
            self.exitcode = 0

    def kill(self):
        self.asked.append("kill")
        self.exitcode = -9

    def join(self, timeout=None):
        if self.exitcode is None:
            time.sleep(0.001)

    def close(self):
        self.asked.append("close")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(worker_slot, "time", clock)
    return clock


@pytest.fixture
def slot():
    """A slot of fake processes, of which each is listed with its end of the pipe, and how often one ended."""
    started, ended = [], []

    def start():
        ours, theirs = multiprocessing.Pipe(duplex=False)
        started.append((Fake(), theirs))
        return started[-1][0], ours

    made = WorkerSlot(start, lambda: ended.append(1))
    made.started, made.ended = started, ended
    yield made
    for _, theirs in started:
        theirs.close()


def end(slot: WorkerSlot, status: int) -> None:
    slot.started[-1][0].exitcode = status


def test_one_that_keeps_ending_is_started_ever_more_seldom(slot, clock, capsys):
    slot.start()
    waits = []
    for _ in range(9):
        end(slot, -9)
        slot.restart_where_ended()
        before, count = clock.now, len(slot.started)
        while len(slot.started) == count:
            clock.now += 0.25
            slot.restart_where_ended()
        waits.append(clock.now - before)
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30] and len(slot.ended) == 9
    assert capsys.readouterr().err.splitlines()[2] == "worker 77: ended with status -9; another one starts in 2 s"
    clock.now += 61
    end(slot, 1)
    slot.restart_where_ended()
    clock.now += 0.5
    slot.restart_where_ended()
    assert len(slot.started) == 11 and slot.sentinel is not None
    assert all("close" in process.asked for process, _ in slot.started[:-1])


def test_what_a_worker_says_before_it_ends_is_logged(slot, clock, capsys):
    slot.start()
    slot.started[0][1].send("the store is gone\x1b[2J\nand more")
    end(slot, 1)
    slot.restart_where_ended()
    assert capsys.readouterr().err == ("worker 77: the store is gone\\x1b[2J\nand more; another one starts in 0.5 s\n")
    clock.now += 1
    slot.restart_where_ended()
    slot.started[1][1].send(77)  # it answered, and ended later
    end(slot, 1)
    slot.restart_where_ended()
    assert "ended with status 1;" in capsys.readouterr().err


def test_what_keeps_the_first_from_answering_ends_all(slot):
    slot.start()
    slot.started[0][1].send("the store is gone")
    with pytest.raises(InputError, match=r"^the store is gone$"):
        slot.wait_ready(threading.Event())


def test_a_worker_without_a_word(slot):
    slot.start()
    slot.started[0][1].close()
    with pytest.raises(InputError, match="ended before it could serve"):
        slot.wait_ready(threading.Event())


def test_one_is_not_waited_for_when_all_stop(slot):
    slot.start()
    stopping = threading.Event()
    stopping.set()
    slot.wait_ready(stopping)


def test_no_process_to_be_had(slot, clock, monkeypatch, capsys):
    slot.start()
    end(slot, -9)
    slot.restart_where_ended()
    start = slot._start
    monkeypatch.setattr(slot, "_start", lambda: (_ for _ in ()).throw(BlockingIOError(11, "Resource unavailable")))
    clock.now += 0.5
    slot.restart_where_ended()
    assert "no worker can be started" in capsys.readouterr().err and slot.sentinel is None
    monkeypatch.setattr(slot, "_start", start)
    clock.now += 1
    slot.restart_where_ended()
    assert len(slot.started) == 2


@pytest.mark.parametrize(("deaf", "asked"), [(False, ["terminate", "close"]), (True, ["terminate", "kill", "close"])])
@pytest.mark.parametrize("hurried", [False, True])
def test_one_that_does_not_end_is_killed(slot, deaf, asked, hurried):
    slot.start()
    process, hurry = slot.started[0][0], threading.Event()
    process.deaf = deaf
    slot.terminate()
    if hurried:
        hurry.set()
    slot.join(time.monotonic() + (1000 if hurried else 0.01), hurry)
    assert process.asked == asked and slot.sentinel is None
    slot.terminate()
    slot.join(0, hurry)
