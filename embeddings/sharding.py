"""Which rank holds which part of which table: sharders, the machine's topology, the plan."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torchrec.distributed.embedding import EmbeddingCollectionSharder
from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
from torchrec.distributed.planner import EmbeddingShardingPlanner, ParameterConstraints, Topology
from torchrec.distributed.planner.storage_reservations import FixedPercentageStorageReservation
from torchrec.distributed.planner.types import PlannerError
from torchrec.distributed.types import ModuleSharder, ShardingPlan, ShardingType

try:  # TorchRec 1.8
    from torchrec.distributed.planner.types import HardwareConfig, KernelConfig, TopologyFactory, TrainerConfig
except ImportError:  # TorchRec 1.6 and 1.7
    TopologyFactory = None

from embeddings.errors import InputError
from embeddings.tables import TableConfig

_RESERVED = 0.15  # share of memory that the planner leaves to dense parameters, activations and inputs
# The planner's model has no cost per collective, so it would split even tiny tables over all ranks, and mix kinds of
# sharding, each with an exchange of its own. Below this size a whole table on one rank is faster.
_SMALL_TABLE_BYTES = 64 << 20
_SMALL_TABLE_TYPES = (ShardingType.TABLE_WISE.value,)
_GIB_PER_MS = 2**30 / 1000
# ranks on CPU exchange through gloo, over loopback or a 10 Gbit/s network, and not over NVLink
_HOST_BANDWIDTH = {"ddr_mem_bw": 10 * _GIB_PER_MS, "intra_host_bw": 2 * _GIB_PER_MS, "inter_host_bw": 1.0 * _GIB_PER_MS}
_BAG_TYPES = [t.value for t in ShardingType]
_SEQUENCE_TYPES = [t.value for t in (ShardingType.TABLE_WISE, ShardingType.COLUMN_WISE, ShardingType.ROW_WISE)]


class BagSharder(EmbeddingBagCollectionSharder):
    """Offers every sharding type on every device: row-wise ones run on gloo too, though TorchRec hides them on CPU."""

    def sharding_types(self, compute_device_type: str) -> list[str]:
        return _BAG_TYPES


class SequenceSharder(EmbeddingCollectionSharder):
    """Offers every type that an EmbeddingCollection implements."""

    def sharding_types(self, compute_device_type: str) -> list[str]:
        return _sequence_types(compute_device_type)


def _sequence_types(device_type: str) -> list[str]:
    """Replicated tables use FBGEMM's dense kernel, which on CPU pools a sequence although asked not to."""
    return _SEQUENCE_TYPES + ([] if device_type == "cpu" else [ShardingType.DATA_PARALLEL.value])


def sharders() -> list[ModuleSharder[nn.Module]]:
    return [BagSharder(), SequenceSharder()]


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """What the planner may do with one table; None leaves it free."""

    sharding_types: Sequence[str] | None = None
    min_partition: int | None = None


def local_topology(device: torch.device, world_size: int, local_world_size: int) -> Topology:
    """The topology of the machine that runs this: its own memory, not the planner's 32 GiB, and gloo's speed on CPU."""
    host_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    hbm_bytes = torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else 0
    capacity = {"hbm_cap": hbm_bytes, "ddr_cap": host_bytes // local_world_size}
    bandwidth = _HOST_BANDWIDTH if device.type == "cpu" else {}
    if TopologyFactory is None:
        return Topology(world_size, device.type, local_world_size=local_world_size, **capacity, **bandwidth)
    return TopologyFactory.create_topology(
        TrainerConfig(world_size=world_size, local_world_size=local_world_size),
        HardwareConfig(**{f"{key}_bytes": value for key, value in capacity.items()}, **bandwidth),
        KernelConfig(compute_device=device.type),
    )


def make_plan(
    model: nn.Module,
    tables: Iterable[TableConfig],
    constraints: Mapping[str, Constraint],
    default: Constraint,
    topology: Topology,
    batch_size: int,
) -> ShardingPlan:
    """The planner's choice, the same on every rank: rank 0 plans and broadcasts.

    Args:
        model: holds the collections, on the meta device.
        constraints: by table name; a table without one takes ``default``.
        batch_size: rows a rank and step.

    Raises:
        InputError: no plan satisfies the constraints and the memory, or a constraint names no table.
    """
    tables = list(tables)
    unknown = set(constraints) - {t.name for t in tables}
    if unknown:
        raise InputError(f"sharding.tables names {sorted(unknown)}; tables are {sorted(t.name for t in tables)}")
    planner = EmbeddingShardingPlanner(
        topology=topology,
        batch_size=batch_size,
        storage_reservation=FixedPercentageStorageReservation(percentage=_RESERVED),
        constraints={
            t.name: _planner_constraint(t, constraints.get(t.name), default, topology.compute_device) for t in tables
        },
        debug=False,
    )
    try:
        if dist.is_initialized() and dist.get_world_size() > 1:
            return planner.collective_plan(model, sharders(), dist.group.WORLD)
        return planner.plan(model, sharders())
    except (PlannerError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"no sharding plan fits: {reason}; widen sharding.sharding_types or add memory or ranks"
        ) from error


def _planner_constraint(
    table: TableConfig, own: Constraint | None, default: Constraint, device_type: str
) -> ParameterConstraints:
    wanted = own or default
    allowed = _BAG_TYPES if table.pooled else _sequence_types(device_type)
    small = 4 * table.num_embeddings * table.embedding_dim < _SMALL_TABLE_BYTES
    types = list(wanted.sharding_types or (_SMALL_TABLE_TYPES if small else allowed))
    possible = [t for t in types if t in allowed]
    if not possible or (own and possible != types):  # a default speaks of all tables, each takes what it can
        raise InputError(f"table '{table.name}': sharding types {types} are not possible here; allowed: {allowed}")
    return ParameterConstraints(
        sharding_types=possible,
        min_partition=wanted.min_partition,
        pooling_factors=[max(n, 1e-3) for n in table.mean_length],
    )


def plan_as_dict(plan: ShardingPlan) -> dict[str, dict]:
    """``plan`` as plain data for plan.json: table -> module, sharding type, kernel, and each shard's place."""
    rows = {}
    for module, parameters in plan.plan.items():
        for table, sharding in parameters.items():  # type: ignore[attr-defined]
            spec = sharding.sharding_spec
            rows[table] = {
                "module": module,
                "sharding_type": sharding.sharding_type,
                "compute_kernel": sharding.compute_kernel,
                "ranks": sharding.ranks,
                "shards": [
                    {"offsets": s.shard_offsets, "sizes": s.shard_sizes, "placement": str(s.placement)}
                    for s in (spec.shards if spec is not None else [])
                ],
            }
    return rows
