"""What a plan costs: per table, per rank, and the step. The same sums whether a plan was chosen, read or proposed."""

from dataclasses import dataclass

import numpy as np

from embeddings.planner.cost_model import (
    Cost,
    Machine,
    base_ms,
    dense_bytes,
    dense_copy_bytes,
    exchanges_ms,
    shard_cost,
)
from embeddings.planner.frozen_placement import frozen_bytes, frozen_ms
from embeddings.planner.planner_input import Problem
from embeddings.planner.sharding_plan import Plan


@dataclass(frozen=True)
class Fixed:
    """What every rank holds and does whatever its shards: bytes of device and host memory, milliseconds.

    copy_bytes      of the dense part in a checkpoint's copy
    copy_on_device  whether that copy counts as the device's memory: on CPU
    """

    dense_bytes: int
    activation_bytes: int
    copy_bytes: int
    copy_on_device: bool
    frozen: dict[str, tuple[int, int]]
    frozen_ms: float
    base_ms: float

    @property
    def device_bytes(self) -> int:
        copy = self.copy_bytes * self.copy_on_device
        return self.dense_bytes + self.activation_bytes + copy + sum(d for d, _ in self.frozen.values())

    @property
    def host_bytes(self) -> int:
        return self.copy_bytes * (not self.copy_on_device) + sum(h for _, h in self.frozen.values())


@dataclass(frozen=True)
class Assessment:
    """A plan with its figures.

    tables        name -> Cost of its shards, in the plan's order
    device_bytes  [W] of each rank, all included but what the process holds before it has a table
    host_bytes    [W] of each rank's share of its host's memory; zeros on CPU, where both are the same
    copy_bytes    [W] what of those is the copy that a checkpoint takes
    rank_ms       [W] of the shards on each rank
    """

    plan: Plan
    problem: Problem
    machine: Machine
    fixed: Fixed
    tables: dict[str, Cost]
    device_bytes: np.ndarray
    host_bytes: np.ndarray
    copy_bytes: np.ndarray
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
        copy_bytes=dense_copy_bytes(problem, machine),
        copy_on_device=machine.hardware.device == "cpu",
        frozen={f.name: frozen_bytes(f, placements[f.name], problem, machine) for f in problem.frozen},
        frozen_ms=sum(frozen_ms(f, placements[f.name], problem, machine) for f in problem.frozen),
        base_ms=base_ms(problem, machine),
    )


def assess(plan: Plan, problem: Problem, machine: Machine) -> Assessment:
    """The figures of ``plan``, which matches ``problem`` and ``machine``."""
    fixed = fixed_parts(problem, machine, dict(plan.frozen))
    device = np.full(machine.world_size, float(fixed.device_bytes))
    host = np.full(machine.world_size, float(fixed.host_bytes))
    copy = np.full(machine.world_size, float(fixed.copy_bytes))
    ms = np.zeros(machine.world_size)
    tables = {}
    for table in problem.tables:
        placed = plan.tables[table.name]
        cost = shard_cost(table, placed.sharding_type, placed.compute_kernel, placed.shards[:, :4], problem, machine)
        tables[table.name] = cost
        ms += cost.everywhere_ms
        parts = (device, cost.device_bytes), (host, cost.host_bytes), (copy, cost.copy_bytes), (ms, cost.ms)
        for total, part in parts:
            np.add.at(total, placed.shards[:, 4], part)
    kinds = {(p.module, p.sharding_type) for p in plan.tables.values()}
    exchanges = exchanges_ms(kinds, machine.hardware.speed) if machine.world_size > 1 else 0.0
    return Assessment(plan, problem, machine, fixed, tables, device, host, copy, ms, exchanges)
