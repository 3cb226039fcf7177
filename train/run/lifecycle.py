"""The lifecycle of a run: train, test, and its end, whatever ends it: done, failed, ^C, SIGTERM."""

import contextlib
from typing import Protocol

from train.checkpoint.checkpointer import Checkpointer
from train.distributed.signals import StopRequest, stop_on_signals, uninterrupted


class StopTraining(Exception):
    """All ranks have agreed to save and to stop."""


class Lifecycle(Protocol):
    """A run, as ``run_to_end`` needs it."""

    checkpointer: Checkpointer

    def fit(self, stop: StopRequest) -> None: ...
    def test(self) -> None: ...
    def end(self, status: str) -> None: ...


def run_to_end(run: Lifecycle, grace_s: int) -> None:
    """Train, validate and test, and close the run's folder with its status. All ranks call it.

    Args:
        grace_s: seconds that a stopped or failed run has for the checkpoint that is being written.
    """
    stop: StopRequest | None = None
    try:
        with stop_on_signals(grace_s) as stop:
            run.fit(stop)
        run.test()
    except BaseException as error:
        with uninterrupted(), contextlib.suppress(OSError):  # a full disk may be what ended the run, and is what to say
            run.checkpointer.settle(grace_s if stop is None else stop.left_s)
            run.end("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    run.end("done")
