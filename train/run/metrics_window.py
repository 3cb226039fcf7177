"""Training metrics of the steps since the last logged row, summed on the device and over ranks."""

import time
from dataclasses import dataclass

import torch
import torch.distributed as dist

_NONE = 1 << 62


@dataclass(frozen=True)
class WindowMetrics:
    """The figures of one window over all ranks.

    means           of each summed metric, over rows; the loss first
    rows            of all ranks
    examples_per_s  rows of all ranks a second
    bad_step        the first step whose loss was not finite on some rank; None where all were
    bad_here        whether that step was this rank's
    """

    means: dict[str, float]
    rows: int
    examples_per_s: float
    bad_step: int | None
    bad_here: bool


class MetricsWindow:
    """Adds up steps without a device synchronisation; ``summary`` makes the only one.

    Args:
        names: of the metrics, the loss first.
    """

    def __init__(self, names: tuple[str, ...], device: torch.device, world_size: int) -> None:
        self._names, self._world_size = names, world_size
        self._sums = torch.zeros(len(names) + 1, dtype=torch.float64, device=device)  # the metrics, then the rows
        self._bad = torch.full((), _NONE, dtype=torch.int64, device=device)
        self._started = time.monotonic()
        self.steps = 0

    def add(self, step: int, rows: int, *sums: torch.Tensor) -> None:
        """One step of this rank.

        Args:
            rows: of this rank's batch.
            sums: [] each, the metrics summed over those rows, in the order of the names.
        """
        row = torch.stack([s.double() for s in sums])
        self._sums[:-1] += row
        self._sums[-1] += rows
        finite = torch.isfinite(row[0])
        here = torch.where(finite, torch.full_like(self._bad, _NONE), torch.full_like(self._bad, step))
        self._bad = torch.minimum(self._bad, here)
        self.steps += 1

    def summary(self) -> WindowMetrics:
        """Figures over all ranks, which all call this, then an empty window."""
        own_bad = int(self._bad)
        if self._world_size > 1:
            dist.all_reduce(self._sums)
            dist.all_reduce(self._bad, op=dist.ReduceOp.MIN)
        *sums, rows = self._sums.tolist()
        first_bad = int(self._bad)
        seconds = time.monotonic() - self._started
        metrics = WindowMetrics(
            means={name: total / rows for name, total in zip(self._names, sums, strict=True)},
            rows=int(rows),
            examples_per_s=rows / max(seconds, 1e-9),
            bad_step=None if first_bad == _NONE else first_bad,
            bad_here=own_bad != _NONE and own_bad == first_bad,
        )
        self._sums.zero_()
        self._bad = torch.full_like(self._bad, _NONE)
        self.steps, self._started = 0, time.monotonic()
        return metrics
