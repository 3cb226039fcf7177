"""Consensus of the ranks on control flags, about once a second: to save, to stop, that a save has failed."""

import time
from dataclasses import dataclass

import torch
import torch.distributed as dist

from train.distributed.ranks import Ranks

_EVERY_S = 1.0
_MOST_STEPS = 1000


@dataclass(frozen=True)
class ControlFlags:
    """What one rank asks for, or, after an exchange, what at least one rank asks for.

    stop    SIGTERM has come: save, then end
    save    the time for a checkpoint has come
    failed  a save has failed
    """

    stop: bool = False
    save: bool = False
    failed: bool = False


class Consensus:
    """All-reduces the control flags every so many steps, as many as take rank 0 a second; no exchange in between.

    The number of steps to the next exchange travels with the flags, so that all ranks know when it is.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._steps, self._next = 0, 1
        self._began = time.monotonic()

    def due(self) -> bool:
        """Count one step; whether an exchange is due after it, the same on all ranks, which all call it once a step."""
        self._steps += 1
        return self._ranks.world_size == 1 or self._steps >= self._next

    def exchange(self, own: ControlFlags) -> ControlFlags:
        """The logical or of all ranks' flags. All ranks call it and get the same; one rank alone gets its own."""
        if self._ranks.world_size == 1:
            return own
        now = time.monotonic()
        steps = int(self._steps * _EVERY_S / max(now - self._began, 1e-6))
        next_steps = min(max(steps, 1), _MOST_STEPS) if self._ranks.first else 0
        sent = torch.tensor([own.stop, own.save, own.failed, next_steps])
        dist.all_reduce(sent, op=dist.ReduceOp.MAX)
        self._steps, self._began, self._next = 0, now, int(sent[3])
        return ControlFlags(*map(bool, sent[:3].tolist()))
