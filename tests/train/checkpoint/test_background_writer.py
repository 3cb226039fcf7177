"""Work beside the training: ^C while it is waited for does not make it look ended."""

import os
import signal
import threading
import time

import pytest

from train.checkpoint.background_writer import BackgroundWriter


def test_an_interrupt_while_waiting_leaves_the_work_running():
    go, done, background = threading.Event(), [], BackgroundWriter("test")

    def work() -> None:
        time.sleep(0.3)  # by then the main thread waits
        os.kill(os.getpid(), signal.SIGINT)
        go.wait(20)
        done.append(True)

    with pytest.raises(KeyboardInterrupt):
        background.start(work)
        background.finish()
    assert background.running and not background.settle(0.01)
    go.set()
    assert background.settle(20) and done == [True]
    assert background.finish() < 20


def test_what_it_raised_is_told_once():
    background = BackgroundWriter("test")
    background.start(lambda: 1 / 0)
    assert background.settle(20) and background.failed
    with pytest.raises(ZeroDivisionError):
        background.finish()
    assert not background.failed and background.finish() < 20
