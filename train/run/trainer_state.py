"""Trainer state: step, epoch, best metric and patience counters of a run, as a checkpoint saves them."""

from dataclasses import dataclass, fields
from typing import Any

from pydantic import BaseModel

from embeddings.validation import Count
from train.checkpoint.checksums import Progress


@dataclass
class TrainerState:
    """Counters of a run, the same on every rank.

    step        steps in all
    epoch       whole epochs
    batch       steps of the epoch that has begun
    best        the selected metric of the best validation so far
    best_epoch  the epoch, counted from 0, whose training that validation followed
    validated   the step of the last validation
    worse       validations since the best one
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    best: float | None = None
    best_epoch: int | None = None
    validated: int | None = None
    worse: int = 0

    @classmethod
    def of(cls, progress: dict[str, Any]) -> "TrainerState":
        """The state that a checkpoint's progress.json tells; what an older one does not tell is as at the start."""
        state = cls(**{f.name: progress[f.name] for f in fields(cls) if f.name in progress})
        if "worse" not in progress and state.best_epoch is not None:
            state.worse = max(0, state.epoch - 1 - state.best_epoch)  # one validation an epoch then
        if "validated" not in progress and state.best is not None and not state.batch:
            state.validated = state.step  # a whole epoch was always validated then
        return state

    @property
    def epochs_begun(self) -> int:
        """Whole epochs, and one that has begun."""
        return self.epoch + (1 if self.batch else 0)


class _Logged(BaseModel, extra="allow"):
    rows: Count


class RunProgress(Progress):
    """What progress.json holds for the trainer: a ``TrainerState``, and the rows of metrics.jsonl."""

    epoch: Count
    batch: Count
    best: float | None = None
    best_epoch: Count | None = None
    validated: Count | None = None
    worse: Count = 0
    metrics: _Logged
