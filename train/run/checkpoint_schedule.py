"""The checkpoint schedule: when a run saves and when it stops, by steps, by the clock, by SIGTERM."""

import time
from dataclasses import replace

from train.checkpoint.checkpointer import Checkpointer
from train.config import LoopConfig
from train.distributed.consensus import Consensus, ControlFlags
from train.distributed.ranks import Ranks
from train.distributed.signals import StopRequest


class CheckpointSchedule:
    """Asked after every step, with the same answer on every rank. The clock is rank 0's."""

    def __init__(self, config: LoopConfig, ranks: Ranks, checkpointer: Checkpointer, stop: StopRequest) -> None:
        self._config, self._ranks, self._checkpointer, self._stop = config, ranks, checkpointer, stop
        self._consensus = Consensus(ranks)
        self._saved = time.monotonic()

    def after_step(self, step: int) -> ControlFlags:
        """What to do after ``step``. All ranks call it. Raises what a save that failed raised, on all ranks."""
        flags = self.between_batches()
        every = self._config.checkpoint_every
        by_steps = every is not None and step % every == 0
        flags = replace(flags, save=flags.save or flags.stop or by_steps)
        if flags.save:
            self.saved()
        return flags

    def saved(self) -> None:
        """The clock begins again: a checkpoint is being written, whatever it was that asked for it."""
        self._saved = time.monotonic()

    def between_batches(self) -> ControlFlags:
        """The ranks' consensus, in work that is no training such as an evaluation. All ranks call it once a batch."""
        if not self._consensus.due():
            return ControlFlags()
        minutes = self._config.checkpoint_minutes
        late = minutes is not None and self._ranks.first and time.monotonic() - self._saved >= 60 * minutes
        flags = self._consensus.exchange(ControlFlags(self._stop.asked, late, self._checkpointer.failed))
        if flags.failed:
            self._checkpointer.finish()
        return flags
