"""A training task without a model: its validations give scores from a script, its weight counts the steps."""

import torch

from train.checkpoint.shards import whole_tensor
from train.config import RunSettings
from train.distributed.ranks import Ranks
from train.run.task import TrainingTask

BATCHES = 4  # an epoch


class StepCounter:
    """What its checkpoints hold: one weight, the number of steps."""

    def __init__(self) -> None:
        self.weight = torch.zeros(1)

    def shards(self):
        return [whole_tensor("model.weight", self.weight)]

    def layout(self):
        return {}

    def restore(self, read, progress):
        read(self.shards())


class ScriptedTask(TrainingTask):
    """Trains nothing; notes what the trainer asks of it.

    Args:
        scores: of the validations, in turn; afterwards the last one.
        lower: whether a lower one is better.

    epochs     epochs that were begun
    evaluated  (split, weight) of each evaluation
    """

    printed = ("score",)

    def __init__(self, settings: RunSettings, ranks: Ranks, scores: list[float], lower: bool = False) -> None:
        self.settings, self.ranks = settings, ranks
        self.checkpoint_state = StepCounter()
        self._scores, self._lower = list(scores), lower
        self.epochs: list[int] = []
        self.evaluated: list[tuple[str, int]] = []

    num_batches, rows_per_epoch, rows_per_step = BATCHES, 8 * BATCHES, 8

    def batches(self, state):
        self.epochs.append(state.epoch)
        return (batch for batch in range(state.batch, BATCHES))

    def step(self, batches, state):
        next(batches)
        self.checkpoint_state.weight += 1
        return 8

    def logged(self, state):
        return {"loss": 1.0, "examples_per_s": 8.0}, {"loss": 1.0}

    def dense_parameters(self):
        return [self.checkpoint_state.weight]

    @property
    def select(self):
        return "score", self._lower

    def rows_of(self, split):
        return 8

    def evaluate(self, split, advance):
        self.evaluated.append((split, int(self.checkpoint_state.weight)))
        if split != self.settings.data.validation:
            return {"score": 0.0}
        return {"score": self._scores.pop(0) if len(self._scores) > 1 else self._scores[0]}

    def about(self):
        return {}

    def progress(self, state):
        return {}

    def resume(self, progress):
        return None
