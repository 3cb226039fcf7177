"""Training figures of the steps since the last row, over all ranks."""

import time

import torch
import torch.distributed as dist

from train.scl.train_step import Losses


class Window:
    """Adds up the losses of steps without a device synchronisation."""

    def __init__(self, device: torch.device, world_size: int) -> None:
        self._world_size = world_size
        self._sums = torch.zeros(3, dtype=torch.float64, device=device)
        self._pairs = self._steps = 0
        self._started = time.monotonic()

    def add(self, losses: Losses, pairs: int) -> None:
        """One step of ``pairs`` pairs over all ranks."""
        self._sums += losses.stacked().double()
        self._pairs, self._steps = self._pairs + pairs, self._steps + 1

    def summary(self) -> dict[str, float]:
        """Means over all ranks, which all call this, then an empty window."""
        sums = self._sums
        if self._world_size > 1:
            dist.all_reduce(sums)
        means = (sums / (self._steps * self._world_size)).tolist()
        now = time.monotonic()
        found = {**dict(zip(("loss", "info_nce", "triplet"), means, strict=True)),
                 "examples_per_s": self._pairs / max(now - self._started, 1e-9)}  # fmt: skip
        self._sums = torch.zeros_like(sums)
        self._pairs = self._steps = 0
        self._started = now
        return found
