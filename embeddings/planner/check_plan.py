"""Checks that a sharding plan read from a file is one of this model and that these ranks can carry it out."""

import numpy as np

from embeddings.errors import InputError, nearest
from embeddings.planner.frozen_placement import PLACEMENTS
from embeddings.planner.planner_input import PlannerInput, TableInput
from embeddings.planner.shard_layout import cut_shards
from embeddings.planner.sharding_plan import ParameterSharding, ShardingPlan
from embeddings.planner.sharding_types import CUTS_COLUMNS, SHARD_RANKS

_AGAIN = "plan again: python -m embeddings.plan"
_KERNELS = {"cpu": ("fused",), "cuda": ("fused", "fused_uvm", "fused_uvm_caching")}


def check_plan(
    plan: ShardingPlan, planner_input: PlannerInput, world_size: int, ranks_of_host: int, device: str, where: str
) -> None:
    """Refuse a plan that is not of this model, or that these ranks cannot carry out.

    Args:
        where: the plan's file, which errors name.

    Raises InputError where world size, ranks of a host, device, tables, frozen tables, sharding types, compute kernels
    or shards differ from what the model has and TorchRec takes, and where column shards of sequence tables differ in
    width: TorchRec would read beyond the narrower ones.
    """
    for what, got, wanted in (
        ("world size", plan.world_size, world_size),
        ("ranks of a host", plan.ranks_of_host, ranks_of_host),
        ("device", plan.device, device),
    ):
        if got != wanted:
            raise InputError(f"plan '{where}' is for {what} {got}, this run has {wanted}; {_AGAIN}")
    names = {t.name for t in planner_input.tables}
    for name in plan.tables.keys() - names:
        raise InputError(f"plan '{where}' places table '{name}', which the model lacks{nearest(name, names)}; {_AGAIN}")
    for name in names - plan.tables.keys():
        raise InputError(f"plan '{where}' lacks table '{name}' of the model; {_AGAIN}")
    if plan.frozen.keys() != {f.name for f in planner_input.frozen} or set(plan.frozen.values()) - set(PLACEMENTS):
        wanted_names = sorted(f.name for f in planner_input.frozen)
        raise InputError(
            f"plan '{where}' places frozen tables {dict(plan.frozen)}, the model has {wanted_names}; {_AGAIN}"
        )
    for f in planner_input.frozen:
        if plan.frozen[f.name] == "row_wise" and not f.row_wise:
            raise InputError(
                f"plan '{where}' cuts '{f.name}' into rows, but the model wants more than sums over bags; {_AGAIN}"
            )
    for table in planner_input.tables:
        _check_table(plan.tables[table.name], table, plan, where)
    widths = {
        t.name: int(plan.tables[t.name].shards[0, 3])
        for t in planner_input.tables
        if not t.pooled and plan.tables[t.name].sharding_type in CUTS_COLUMNS
    }
    if len(set(widths.values())) > 1:
        raise InputError(
            f"plan '{where}' cuts sequence tables into columns of several widths, {widths}; allowed: one for all; "
            f"{_AGAIN}"
        )


def _check_table(sharding: ParameterSharding, table: TableInput, plan: ShardingPlan, where: str) -> None:
    device, about = plan.device, f"plan '{where}': table '{table.name}'"
    allowed, why = table.possible_sharding_types(device)
    if sharding.sharding_type not in allowed:
        raise InputError(f"{about} cannot be {sharding.sharding_type} on {device}{why}; allowed: {allowed}; {_AGAIN}")
    if sharding.module != table.module:
        raise InputError(
            f"{about} is in '{sharding.module}', the model has it in '{table.module}', as another feature reads it "
            f"now; {_AGAIN}"
        )
    kernels = ("dense",) if sharding.sharding_type == "data_parallel" else _KERNELS[device]
    if sharding.compute_kernel not in kernels:
        raise InputError(
            f"{about}, {sharding.sharding_type} on {device}, cannot have kernel '{sharding.compute_kernel}'; allowed: "
            f"{', '.join(kernels)}; {_AGAIN}"
        )
    if not _has_layout(sharding, table, plan.world_size, plan.ranks_of_host):
        raise InputError(
            f"plan '{where}': the shards of table '{table.name}' do not cover {table.rows} x {table.columns} once, "
            f"as {sharding.sharding_type} does on ranks 0 to {plan.world_size - 1}; {_AGAIN}"
        )


def _has_layout(sharding: ParameterSharding, table: TableInput, world_size: int, local: int) -> bool:
    """Whether shards and ranks are as ``cut_shards`` and ``pack_shards`` make them; TorchRec takes no others."""
    shards, ranks = sharding.shards[:, :4], sharding.shards[:, 4]
    if not len(shards) or shards[0, 3] < 1 or table.columns % shards[0, 3]:
        return False
    wanted = cut_shards(sharding.sharding_type, table.rows, table.columns, world_size, local, int(shards[0, 3]))
    if not np.array_equal(shards, wanted) or ranks.min() < 0 or ranks.max() >= world_size:
        return False
    spread = SHARD_RANKS[sharding.sharding_type]
    if spread == "every":
        return np.array_equal(ranks, np.arange(world_size))
    if sharding.sharding_type == "table_column_wise":
        return len(set((ranks // local).tolist())) == 1
    if spread == "any":
        return True
    blocks = ranks.reshape(-1, local)  # rows of a block lie on the ranks of one host, in order
    return np.array_equal(blocks, (blocks[:, :1] // local) * local + np.arange(local))
