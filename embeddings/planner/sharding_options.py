"""Sharding options: every way to shard each table, with its cost (what TorchRec's enumerator and estimators give)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from embeddings.planner.cost_model import ShardCost, shard_cost
from embeddings.planner.no_plan import NoPlan
from embeddings.planner.planner_input import PlannerInput, TableInput
from embeddings.planner.shard_layout import block_widths, cut_shards
from embeddings.planner.sharding_types import CUTS_COLUMNS, allowed_types
from embeddings.planner.topology import Topology

SMALL_TABLE_BYTES, MANY_IDS = 64 << 20, 32


@dataclass(frozen=True)
class ShardingOption:
    """One way to shard one table, of which the search places the shards (TorchRec's ShardingOption).

    shards  int64 [S, 4] as ``cut_shards`` gives them
    cost    of each shard, [S]
    ranks   world size
    """

    table: str
    sharding_type: str
    compute_kernel: str
    shards: np.ndarray
    cost: ShardCost
    ranks: int

    @cached_property
    def width(self) -> int:
        """Columns of a shard."""
        return int(self.shards[0, 3])

    @cached_property
    def need(self) -> float:
        """Device bytes of the largest shard."""
        return float(self.cost.device_bytes.max())

    @cached_property
    def total_bytes(self) -> float:
        """Device bytes of all shards."""
        return float(self.cost.device_bytes.sum())

    @cached_property
    def uses_host(self) -> bool:
        """Whether shards take memory of their hosts, for rows or a checkpoint's copy."""
        return bool(self.cost.host_bytes.any())

    @cached_property
    def ms(self) -> float:
        """Time of the slowest shard's rank."""
        return self.cost.slowest_ms

    @cached_property
    def total_ms(self) -> float:
        """Time of all ranks, summed."""
        return float(self.cost.ms.sum()) + self.ranks * self.cost.every_rank_ms


def stays_whole(table: TableInput, topology: Topology) -> bool:
    """On CPU small tables with few ids an example are placed whole unless a constraint says otherwise.

    Other ways came out within a tenth of it with up to 20 ids, one way or the other by the day, and a replicated
    table's optimizer visits every row. Of 50 ids and more, to cut the table saved up to half of the step.
    """
    small = table.bytes < SMALL_TABLE_BYTES and (table.ids < MANY_IDS or topology.world_size == 1)
    return topology.hardware.device == "cpu" and small and not table.zch


def enumerate_options(
    table: TableInput, planner_input: PlannerInput, topology: Topology, small_whole: bool = True
) -> list[ShardingOption]:
    """Every sharding type, column width and compute kernel that constraints and the device allow, the least work first.

    Args:
        small_whole: leave tables whole that ``stays_whole`` names.

    Raises InputError where constraints leave none.
    """
    of_table = planner_input.constraints.get(table.name)
    wanted = of_table or planner_input.default_constraint
    device = topology.hardware.device
    possible = table.possible_sharding_types(device)
    whole = small_whole and stays_whole(table, topology) and "table_wise" in possible[0]
    types = wanted.sharding_types or (("table_wise",) if whole else possible[0])
    allowed = allowed_types(table.name, types, of_table is not None, possible)
    kernels = list(wanted.compute_kernels or ("fused",)) if device == "cuda" else ["fused"]
    options = []
    for sharding_type in allowed:
        cuts_columns = sharding_type in CUTS_COLUMNS
        for width in block_widths(table.columns, wanted.min_partition) if cuts_columns else [table.columns]:
            if cuts_columns and width == table.columns and "table_wise" in allowed and sharding_type != "grid_shard":
                continue  # one block is a whole table
            shards = cut_shards(
                sharding_type, table.rows, table.columns, topology.world_size, topology.ranks_of_host, width
            )
            for kernel in ["dense"] if sharding_type == "data_parallel" else kernels:
                cost = shard_cost(table, sharding_type, kernel, shards, planner_input, topology)
                options.append(ShardingOption(table.name, sharding_type, kernel, shards, cost, topology.world_size))
    return sorted(options, key=lambda o: o.total_ms)


def split_by_column_width(
    options: Mapping[str, list[ShardingOption]], planner_input: PlannerInput
) -> list[dict[str, list[ShardingOption]]]:
    """``options`` once for each width that column shards of sequence tables have, with shards of that width alone.

    TorchRec reads beyond the narrower shards where sequence tables of one collection are cut into columns of several
    widths. Raises NoPlan where tables can be cut in no other way and have no width in common.
    """
    cut_tables = [t.name for t in planner_input.tables if not t.pooled and not t.zch]
    widths = sorted({o.width for name in cut_tables for o in options[name] if o.sharding_type in CUTS_COLUMNS})
    if len(widths) < 2:
        return [dict(options)]
    by_width = []
    for width in widths:
        part = dict(options)
        for name in cut_tables:
            part[name] = [o for o in options[name] if o.sharding_type not in CUTS_COLUMNS or o.width == width]
        by_width.append(part)
    if whole := [part for part in by_width if all(part.values())]:
        return whole
    forced = {
        n: sorted({o.width for o in options[n]})
        for n in cut_tables
        if all(o.sharding_type in CUTS_COLUMNS for o in options[n])
    }
    raise NoPlan(
        min(forced),
        0,
        text=f"sequence tables that are cut by columns need shards of one width, these have {forced}; "
        f"set the same sharding.tables.NAME.min_partition for them, or allow one another sharding type",
    )
