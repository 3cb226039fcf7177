"""Training metrics of the steps since the last row, summed on the device and over ranks."""

import time
from dataclasses import dataclass

import torch
import torch.distributed as dist

from recsys.metrics import normalised_entropy

_NONE = 1 << 62


@dataclass(frozen=True)
class Summary:
    """The window's figures over all ranks. ``bad_step`` is the first step with a non-finite loss, or None."""

    loss: float
    ne: float | None
    examples_per_s: float
    bad_step: int | None


class Window:
    """Adds up steps without a device synchronisation; ``summary`` makes the only one."""

    def __init__(self, device: torch.device, world_size: int) -> None:
        self._world_size = world_size
        self._sums = torch.zeros(3, dtype=torch.float64, device=device)  # loss, rows, positives
        self._bad = torch.full((), _NONE, dtype=torch.int64, device=device)
        self._started = time.monotonic()
        self.steps = 0

    def add(self, step: int, loss: torch.Tensor, labels: torch.Tensor) -> None:
        """One step of this rank: loss [] (the batch's mean), labels [B]."""
        rows = labels.numel()
        self._sums += torch.stack(
            [loss.double() * rows, loss.new_tensor(rows, dtype=torch.float64), labels.double().sum()]
        )
        here = torch.where(torch.isfinite(loss), torch.full_like(self._bad, _NONE), torch.full_like(self._bad, step))
        self._bad = torch.minimum(self._bad, here)
        self.steps += 1

    def summary(self) -> Summary:
        """Figures over all ranks, which all call this, then an empty window."""
        own_bad = int(self._bad)
        bad = self._bad
        if self._world_size > 1:
            dist.all_reduce(self._sums)
            dist.all_reduce(bad, op=dist.ReduceOp.MIN)
        loss, rows, positives = self._sums.tolist()
        seconds = time.monotonic() - self._started
        result = Summary(
            loss=loss / rows,
            ne=normalised_entropy(loss / rows, positives / rows),
            examples_per_s=rows / seconds,
            bad_step=None if int(bad) == _NONE else int(bad),
        )
        self.bad_here = own_bad != _NONE and own_bad == int(bad)
        self._sums.zero_()
        self._bad = torch.full_like(bad, _NONE)
        self.steps, self._started = 0, time.monotonic()
        return result
