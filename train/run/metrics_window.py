"""Training metrics of the steps since the last logged row, summed on the device and over ranks."""

import time
from dataclasses import dataclass

import torch
import torch.distributed as dist

from train.distributed.ranks import Ranks

_NONE = 1 << 40  # more steps than a run has; times the ranks it is an int64


@dataclass(frozen=True)
class TrainingMetrics:
    """The figures of one window over all ranks.

    means           of each summed metric, over rows; the loss first
    rows            of all ranks
    examples_per_s  rows of all ranks a second
    bad_step        the first step whose loss was not finite on some rank; None where all were
    bad_here        whether this rank is the first one of those whose loss was not finite in that step
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

    def __init__(self, names: tuple[str, ...], ranks: Ranks) -> None:
        self._names, self._ranks = names, ranks
        self._sums = torch.zeros(len(names) + 1, dtype=torch.float64, device=ranks.device)  # the metrics, then the rows
        self._bad = torch.full((), _NONE, dtype=torch.int64, device=ranks.device)
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

    def summary(self) -> TrainingMetrics:
        """Figures over all ranks, which all call this, then an empty window."""
        world_size, rank = self._ranks.world_size, self._ranks.rank
        first_bad = self._bad * world_size + rank  # ordered by step, then by rank
        if world_size > 1:
            dist.all_reduce(self._sums)
            dist.all_reduce(first_bad, op=dist.ReduceOp.MIN)
        *sums, rows = self._sums.tolist()
        bad_step, bad_rank = divmod(int(first_bad), world_size)
        seconds = time.monotonic() - self._started
        metrics = TrainingMetrics(
            means={name: total / rows for name, total in zip(self._names, sums, strict=True)},
            rows=int(rows),
            examples_per_s=rows / max(seconds, 1e-9),
            bad_step=None if bad_step == _NONE else bad_step,
            bad_here=bad_step != _NONE and bad_rank == rank,
        )
        self._sums.zero_()
        self._bad = torch.full_like(self._bad, _NONE)
        self.steps, self._started = 0, time.monotonic()
        return metrics
