"""What one kind of training hands to the trainer: its data, a step, an evaluation, what a checkpoint holds of it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, ClassVar

import torch

from train.checkpoint.checkpointer import Checkpointable
from train.config import RunSettings
from train.distributed.ranks import Ranks
from train.run.trainer_state import RunProgress, TrainerState

Batches = Generator[Any, None, None]


class TrainingTask(ABC):
    """One run's model and data. Every rank has one; the trainer calls its methods on all ranks in the same order.

    Methods that only rank 0 is asked say so. What a user can fix is raised as InputError.

    Attributes:
        settings: the run's config, with the sections data, train, process and run.
        checkpoint_state: what a checkpoint holds of the task.
        printed: metrics of an evaluation that are shown on a terminal.
        progress_model: what progress.json has to hold for ``resume``.
    """

    settings: RunSettings
    ranks: Ranks
    checkpoint_state: Checkpointable
    printed: ClassVar[tuple[str, ...]]
    progress_model: ClassVar[type[RunProgress]] = RunProgress

    # what is trained on

    @property
    @abstractmethod
    def num_batches(self) -> int:
        """Steps of an epoch, the same on every rank."""

    @property
    @abstractmethod
    def rows_per_epoch(self) -> int:
        """Rows of an epoch over all ranks."""

    @property
    @abstractmethod
    def rows_per_step(self) -> int:
        """Rows of a step over all ranks; the last of an epoch may have fewer."""

    @abstractmethod
    def batches(self, state: TrainerState) -> Batches:
        """The batches of epoch ``state.epoch`` from ``state.batch`` on. Closing it ends its threads."""

    # the step

    @abstractmethod
    def step(self, batches: Batches, state: TrainerState) -> int:
        """Train on the next batch, the one after ``state.step`` steps; the rows that all ranks have trained on."""

    @abstractmethod
    def logged(self, state: TrainerState) -> tuple[dict[str, Any], dict[str, Any]]:
        """Metrics of the steps since the last call, over all ranks: a row of metrics.jsonl, and what a bar shows.

        The row has ``loss`` and ``examples_per_s``. Where a loss was not finite it ends the run by ``refuse_bad_loss``.
        """

    @abstractmethod
    def dense_parameters(self) -> Iterable[torch.Tensor]:
        """Parameters that are the same on every rank and must stay finite."""

    def refuse_changed_inputs(self) -> None:
        """Refuse to go on where files that are read all along have changed since they were opened. On one rank.

        Asked before the weights are saved, and before rows are blamed for numbers that are not finite.
        """

    def epoch_trained(self) -> None:
        """The steps of an epoch, or of what max_steps left of it, have been made; validation follows."""

    # the evaluation

    @property
    @abstractmethod
    def select(self) -> tuple[str, bool]:
        """The metric that picks the best epoch, and whether a lower one is better."""

    @abstractmethod
    def rows_of(self, split: str) -> int:
        """Rows of a split that is evaluated, for the progress bar."""

    @abstractmethod
    def evaluate(self, split: str, advance: Callable[[int], None]) -> dict[str, Any]:
        """Metrics of the validation split, or of the test split, the same on every rank.

        Args:
            advance: to be told, once a batch and on all ranks, of the rows that all ranks have evaluated since. It may
                raise, which ends the evaluation.
        """

    def test(self, split: str, evaluate: Callable[[str], dict[str, Any]], state: TrainerState) -> None:
        """Evaluate the test split with the best weights, which are loaded.

        Args:
            split: its name.
            evaluate: evaluates a split by ``self.evaluate``, logs and prints its metrics.
        """
        evaluate(split)

    def read_counters(self, split: str) -> dict[str, float]:
        """What the last pass over ``split`` cut or missed, over all ranks; empty where nothing was."""
        return {}

    # the run

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """Facts for run.json."""

    @abstractmethod
    def progress(self, state: TrainerState) -> dict[str, Any]:
        """Plain data for a checkpoint's progress.json: the reader's position, what the weights depend on."""

    @abstractmethod
    def resume(self, progress: dict[str, Any]) -> int | None:
        """Refuse a checkpoint of other data or settings; go to its position in the data.

        Called before the weights are loaded. Returns the batch of the epoch to go on with, None: the saved one.
        """

    def start(self) -> None:
        """A run begins that no checkpoint goes on with; before its first step."""

    def write_start(self, folder: Path) -> None:
        """Write what belongs into the run's folder from the start. Rank 0."""

    def best_found(self) -> None:
        """The validation just made is the best so far."""

    def epoch_ended(self, state: TrainerState, value: float | None) -> None:
        """An epoch is whole, or none has begun. ``value`` is its selected metric, None where it was not validated."""

    def about_end(self, state: TrainerState) -> dict[str, Any]:
        """Facts for run.json that are known at the run's end. Rank 0."""
        return {}
