"""What a plan costs: per table, per rank, and the step. The same sums whether a plan was chosen, read or proposed."""

from dataclasses import dataclass

import numpy as np

from embeddings.frozen.placement import choose_placement
from embeddings.planner.estimate import (
    Cost,
    Machine,
    base_ms,
    dense_bytes,
    exchanges_ms,
    frozen_bytes,
    frozen_ms,
    shard_cost,
)
from embeddings.planner.placed import Plan
from embeddings.planner.problem import Problem


@dataclass(frozen=True)
class Fixed:
    """What every rank holds and does whatever its shards: bytes of device and host memory, milliseconds."""

    dense_bytes: int
    activation_bytes: int
    frozen: dict[str, tuple[int, int]]
    frozen_ms: float
    base_ms: float

    @property
    def device_bytes(self) -> int:
        return self.dense_bytes + self.activation_bytes + sum(d for d, _ in self.frozen.values())

    @property
    def host_bytes(self) -> int:
        return sum(h for _, h in self.frozen.values())


@dataclass(frozen=True)
class Assessment:
    """A plan with its figures.

    tables        name -> Cost of its shards, in the plan's order
    device_bytes  [W] of each rank, all included but what the process holds before it has a table
    host_bytes    [W] of each rank's share of its host's memory; zeros on CPU, where both are the same
    rank_ms       [W] of the shards on each rank
    """

    plan: Plan
    problem: Problem
    machine: Machine
    fixed: Fixed
    tables: dict[str, Cost]
    device_bytes: np.ndarray
    host_bytes: np.ndarray
    rank_ms: np.ndarray
    exchanges_ms: float

    @property
    def critical_rank(self) -> int:
        return int(self.rank_ms.argmax())

    @property
    def step_ms(self) -> float:
        return self.fixed.base_ms + self.fixed.frozen_ms + self.exchanges_ms + float(self.rank_ms.max())

    @property
    def examples_per_s(self) -> float:
        return 1e3 * self.problem.batch_size * self.machine.world_size / self.step_ms

    @property
    def imbalance(self) -> float:
        """The critical rank's time on tables over the mean rank's; 1 is perfect."""
        mean = float(self.rank_ms.mean())
        return float(self.rank_ms.max()) / mean if mean else 1.0

    @property
    def shortage(self) -> tuple[int, int]:
        """Bytes that the fullest rank lacks, of device memory and of its share of the host's; 0 where it fits."""
        device, host = self.machine.capacity
        return (
            max(0, int(self.device_bytes.max()) - device),
            max(0, int(self.host_bytes.max()) - host) if self.machine.hardware.device == "cuda" else 0,
        )


def fixed_parts(problem: Problem, machine: Machine, placements: dict[str, str]) -> Fixed:
    dense, activations = dense_bytes(problem.dense, problem)
    return Fixed(
        dense_bytes=dense,
        activation_bytes=activations,
        frozen={f.name: frozen_bytes(f, placements[f.name], machine) for f in problem.frozen},
        frozen_ms=sum(frozen_ms(f, placements[f.name], problem, machine) for f in problem.frozen),
        base_ms=base_ms(problem, machine),
    )


def place_frozen(problem: Problem, machine: Machine, device_bytes: int = 0, host_bytes: int = 0) -> dict[str, str]:
    """Modality -> placement. Those that are auto are placed largest last, into what the others leave.

    Args:
        device_bytes: what tables and the dense part take of the fullest rank.
        host_bytes: what tables take of the fullest rank's share of its host.
    """
    own, share = machine.capacity
    free_device, free_host = own - device_bytes, (share - host_bytes) * machine.ranks_of_host
    if machine.hardware.device == "cpu":
        free_device, free_host = 0, free_device * machine.ranks_of_host
    placements = {}
    for frozen in sorted(problem.frozen, key=lambda f: (f.placement == "auto", f.bytes)):
        placement = frozen.placement
        if placement == "auto":
            placement = choose_placement(
                frozen.bytes, free_device, free_host, machine.hardware.device, machine.ranks_of_host
            )
            if placement == "row_wise":
                placement = frozen.smallest
        on_device, on_host = frozen_bytes(frozen, placement, machine)
        if machine.hardware.device == "cpu":
            on_device, on_host = 0, on_device
        free_device, free_host = free_device - on_device, free_host - on_host * machine.ranks_of_host
        placements[frozen.name] = placement
    return {f.name: placements[f.name] for f in problem.frozen}


def assess(plan: Plan, problem: Problem, machine: Machine) -> Assessment:
    """The figures of ``plan``, which matches ``problem`` and ``machine``."""
    fixed = fixed_parts(problem, machine, dict(plan.frozen))
    device = np.full(machine.world_size, float(fixed.device_bytes))
    host = np.full(machine.world_size, float(fixed.host_bytes))
    ms = np.zeros(machine.world_size)
    tables = {}
    for table in problem.tables:
        placed = plan.tables[table.name]
        cost = shard_cost(table, placed.sharding_type, placed.compute_kernel, placed.shards[:, :4], problem, machine)
        tables[table.name] = cost
        ms += cost.everywhere_ms
        for total, part in ((device, cost.device_bytes), (host, cost.host_bytes), (ms, cost.ms)):
            np.add.at(total, placed.shards[:, 4], part)
    kinds = {(p.module, p.sharding_type) for p in plan.tables.values()}
    exchanges = exchanges_ms(kinds, machine.hardware.speed) if machine.world_size > 1 else 0.0
    return Assessment(plan, problem, machine, fixed, tables, device, host, ms, exchanges)
