"""Memory and time of a whole sharding plan: per table, per rank, and of a step; of any plan, chosen or read."""

from dataclasses import dataclass

import numpy as np

from embeddings.planner.cost_model import ShardCost, base_ms, dense_bytes, dense_copy_bytes, exchanges_ms, shard_cost
from embeddings.planner.frozen_placement import frozen_bytes, frozen_ms
from embeddings.planner.planner_input import PlannerInput
from embeddings.planner.sharding_plan import ShardingPlan
from embeddings.planner.topology import Topology


@dataclass(frozen=True)
class FixedCost:
    """What every rank holds and does whatever its shards, in bytes and in milliseconds a step.

    dense_bytes       parameters of the dense part, their gradients and optimizer
    activation_bytes  activations and batches
    copy_bytes        of the dense part in a checkpoint's copy
    copy_on_device    whether that copy counts as the device's memory: on CPU
    frozen            modality -> bytes of device memory, bytes of host memory
    frozen_ms         reading the frozen vectors of a step
    base_ms           the dense part and the step itself
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
        """Of one rank's own memory."""
        copy = self.copy_bytes * self.copy_on_device
        return self.dense_bytes + self.activation_bytes + copy + sum(d for d, _ in self.frozen.values())

    @property
    def host_bytes(self) -> int:
        """Of one rank's share of its host's memory; 0 on CPU."""
        return self.copy_bytes * (not self.copy_on_device) + sum(h for _, h in self.frozen.values())


@dataclass(frozen=True)
class CostedPlan:
    """A plan with its memory and time.

    fixed         what every rank holds and does besides its shards

    tables        name -> Cost of its shards, in the plan's order
    device_bytes  [W] of each rank, all included but what the process holds before it has a table
    host_bytes    [W] of each rank's share of its host's memory; zeros on CPU, where both are the same
    copy_bytes    [W] what of those is the copy that a checkpoint takes
    rank_ms       [W] milliseconds a step of the shards on each rank
    exchanges_ms  fixed cost a step of the exchanges of ids and vectors
    """

    plan: ShardingPlan
    planner_input: PlannerInput
    topology: Topology
    fixed: FixedCost
    tables: dict[str, ShardCost]
    device_bytes: np.ndarray
    host_bytes: np.ndarray
    copy_bytes: np.ndarray
    rank_ms: np.ndarray
    exchanges_ms: float

    @property
    def critical_rank(self) -> int:
        """The rank whose shards take longest, for which the others wait."""
        return int(self.rank_ms.argmax())

    @property
    def step_ms(self) -> float:
        """Milliseconds of a step of training."""
        return self.fixed.base_ms + self.fixed.frozen_ms + self.exchanges_ms + float(self.rank_ms.max())

    @property
    def examples_per_s(self) -> float:
        """Training examples a second, all ranks together."""
        return 1e3 * self.planner_input.batch_size * self.topology.world_size / self.step_ms

    @property
    def imbalance(self) -> float:
        """The critical rank's time on tables over the mean rank's; 1 is perfect."""
        mean = float(self.rank_ms.mean())
        return float(self.rank_ms.max()) / mean if mean else 1.0

    @property
    def shortage(self) -> tuple[int, int]:
        """Bytes that the fullest rank lacks, of device memory and of its share of the host's; 0 where it fits."""
        device, host = self.topology.capacity
        return (
            max(0, int(self.device_bytes.max()) - device),
            max(0, int(self.host_bytes.max()) - host) if self.topology.hardware.device == "cuda" else 0,
        )


def fixed_cost(planner_input: PlannerInput, topology: Topology, placements: dict[str, str]) -> FixedCost:
    """What every rank holds and does whatever its shards.

    Args:
        placements: modality -> placement of its frozen table.
    """
    dense, activations = dense_bytes(planner_input)
    return FixedCost(
        dense_bytes=dense,
        activation_bytes=activations,
        copy_bytes=dense_copy_bytes(planner_input, topology),
        copy_on_device=topology.hardware.device == "cpu",
        frozen={f.name: frozen_bytes(f, placements[f.name], planner_input, topology) for f in planner_input.frozen},
        frozen_ms=sum(frozen_ms(f, placements[f.name], planner_input, topology) for f in planner_input.frozen),
        base_ms=base_ms(planner_input, topology),
    )


def cost_plan(plan: ShardingPlan, planner_input: PlannerInput, topology: Topology) -> CostedPlan:
    """Memory and time of ``plan``, which is of the tables of ``planner_input`` and the ranks of ``topology``."""
    fixed = fixed_cost(planner_input, topology, dict(plan.frozen))
    device = np.full(topology.world_size, float(fixed.device_bytes))
    host = np.full(topology.world_size, float(fixed.host_bytes))
    copy = np.full(topology.world_size, float(fixed.copy_bytes))
    ms = np.zeros(topology.world_size)
    tables = {}
    for table in planner_input.tables:
        sharding = plan.tables[table.name]
        cost = shard_cost(
            table, sharding.sharding_type, sharding.compute_kernel, sharding.shards[:, :4], planner_input, topology
        )
        tables[table.name] = cost
        ms += cost.every_rank_ms
        parts = (device, cost.device_bytes), (host, cost.host_bytes), (copy, cost.copy_bytes), (ms, cost.ms)
        for total, part in parts:
            np.add.at(total, sharding.shards[:, 4], part)
    sharding_types = {(p.module, p.sharding_type) for p in plan.tables.values()}
    exchanges = exchanges_ms(sharding_types, topology.hardware.speed) if topology.world_size > 1 else 0.0
    return CostedPlan(plan, planner_input, topology, fixed, tables, device, host, copy, ms, exchanges)
