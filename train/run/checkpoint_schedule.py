"""When a run saves and when it stops: by steps, by the clock, by SIGTERM; the same on every rank."""

import time
from dataclasses import replace

from train.checkpoint import Checkpoints
from train.config import TrainConfig
from train.distributed.consensus import Agreement, Stop, Wishes
from train.distributed.process_group import Ranks


class Pace:
    """Asked after every step. The clock is rank 0's."""

    def __init__(self, config: TrainConfig, ranks: Ranks, checkpoints: Checkpoints, stop: Stop) -> None:
        self._config, self._ranks, self._checkpoints, self._stop = config, ranks, checkpoints, stop
        self._agreement = Agreement(ranks)
        self._saved = time.monotonic()

    def after_step(self, step: int) -> Wishes:
        """What to do after ``step``. All ranks call it. Raises what a save that failed raised, on all ranks."""
        wishes = self.between()
        by_steps = bool(self._config.checkpoint_every) and step % self._config.checkpoint_every == 0
        wishes = replace(wishes, save=wishes.save or wishes.stop or by_steps)
        if wishes.save:
            self.saved()
        return wishes

    def saved(self) -> None:
        """The clock begins again: a checkpoint is being written, whatever it was that asked for it."""
        self._saved = time.monotonic()

    def between(self) -> Wishes:
        """What the ranks have agreed on, in work that is no training. All ranks call it once a batch."""
        if not self._agreement.due():
            return Wishes()
        minutes = self._config.checkpoint_minutes
        late = minutes is not None and self._ranks.first and time.monotonic() - self._saved >= 60 * minutes
        wishes = self._agreement.exchange(Wishes(self._stop.asked, late, self._checkpoints.failed))
        if wishes.failed:
            self._checkpoints.finish()
        return wishes
