"""What runs of every kind have in common: how far they are, that they are asked to stop, their end."""

import contextlib
from dataclasses import dataclass, fields
from typing import Any, Protocol, TypeVar

from train.checkpoint import Checkpoints
from train.distributed.consensus import Stop, stop_on_sigterm
from train.distributed.process_group import last_words

P = TypeVar("P", bound="Position")


class Stopping(Exception):
    """All ranks have agreed to save and to stop."""


@dataclass
class Position:
    """How far the run has come: steps in all, the epoch, batches trained in it, the best validation so far."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    best: float | None = None
    best_epoch: int | None = None
    validated: int | None = None  # the step of the last validation

    @classmethod
    def of(cls: type[P], progress: dict[str, Any]) -> P:
        """The position that a checkpoint's progress tells; what an older one does not tell is as at the start."""
        return cls(**{f.name: progress[f.name] for f in fields(cls) if f.name in progress})


class Life(Protocol):
    """A run, as ``live`` needs it."""

    checkpoints: Checkpoints

    def fit(self, stop: Stop) -> None: ...
    def test(self) -> None: ...
    def end(self, status: str) -> None: ...


def live(run: Life, grace_s: int) -> None:
    """Train, validate and test, and close the run's folder with what became of it. All ranks call it."""
    try:
        with stop_on_sigterm(grace_s) as stop:
            run.fit(stop)
        run.test()
    except BaseException as error:
        with last_words(), contextlib.suppress(OSError):  # a full disk may be what ended the run, and is what to say
            run.checkpoints.settle(stop.left_s)
            run.end("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    run.end("done")
