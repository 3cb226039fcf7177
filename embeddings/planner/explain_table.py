"""Explains one table's sharding: what every other sharding type, width and kernel would cost, as text."""

from embeddings.errors import InputError, nearest
from embeddings.planner.no_plan import NoPlan
from embeddings.planner.plan_cost import CostedPlan
from embeddings.planner.plan_search import PlanSearch
from embeddings.planner.planner_input import TableInput
from embeddings.planner.report import format_bytes, format_columns
from embeddings.planner.shard_layout import NARROWEST
from embeddings.planner.sharding_options import (
    MANY_IDS,
    SMALL_TABLE_BYTES,
    ShardingOption,
    enumerate_options,
    stays_whole,
)
from embeddings.planner.sharding_types import SHARDING_TYPES


def explain(name: str, best: CostedPlan, search: PlanSearch) -> str:
    """Every option of table ``name``, as text: the step of the best plan with that option given, against ``best``.

    Raises InputError where there is no such table.
    """
    if name not in search.options:
        raise InputError(f"no table '{name}'{nearest(name, search.options)}; tables: {', '.join(search.options)}")
    taken = best.plan.tables[name]
    table = search.planner_input.table(name)
    rows = []
    small_left_out = _small_left_out(table, search)
    choices = [(option, "") for option in search.options[name]] + [
        (option, ", but left out") for option in small_left_out
    ]
    for option, remark in sorted(
        choices, key=lambda choice: (choice[0].sharding_type != taken.sharding_type, choice[0].ms)
    ):
        is_taken = (option.sharding_type, option.compute_kernel) == (taken.sharding_type, taken.compute_kernel) and len(
            option.shards
        ) == len(taken.shards)
        cells = [_width(option, table.columns), option.compute_kernel, format_bytes(option.need), f"{option.ms:.3f}"]
        try:
            step_ms = best.step_ms if is_taken else search.best({name: option}).step_ms
            verdict = (
                "taken"
                if is_taken
                else f"{step_ms - best.step_ms:+.2f} ms, {100 * (step_ms / best.step_ms - 1):+.1f} %{remark}"
            )
        except NoPlan as none:
            short = f"does not fit: {format_bytes(none.shortage)} short on the roomiest rank"
            verdict = (
                short if none.shortage else "not possible: other sequence tables' column shards have another width"
            )
        rows.append([*cells, verdict])
    allowed, why = table.possible_sharding_types(search.topology.hardware.device)
    offered = {row[0].split()[0] for row in rows}
    for sharding_type in SHARDING_TYPES:
        if sharding_type not in allowed:
            rows.append([sharding_type, "", "", "", f"not possible{why}"])
        elif sharding_type not in offered:
            rows.append([sharding_type, "", "", "", _left_out(name, sharding_type, search)])
    head = ["type", "kernel", ">largest shard", ">its ms", "step against the plan"]
    shape = f"{table.rows:,} x {table.columns}, {format_bytes(table.bytes)}, {table.ids:g} ids an example"
    small = (
        f"left out: on CPU a table under {format_bytes(SMALL_TABLE_BYTES)} with fewer than {MANY_IDS} ids an example "
        f"stays whole unless sharding.tables.{name} says more, or nothing fits else"
    )
    return "\n".join([f"table '{name}': {shape}", format_columns(head, rows), *([small] if small_left_out else [])])


def _small_left_out(table: TableInput, search: PlanSearch) -> list[ShardingOption]:
    """Ways that only the table's smallness leaves out."""
    wanted = search.planner_input.constraints.get(table.name) or search.planner_input.default_constraint
    if wanted.sharding_types or not stays_whole(table, search.topology):
        return []
    free = enumerate_options(table, search.planner_input, search.topology, small_whole=False)
    return [o for o in free if o.sharding_type != "table_wise"]


def _width(option: ShardingOption, whole: int) -> str:
    return option.sharding_type + (f" {option.width}" if option.width != whole else "")


def _left_out(name: str, sharding_type: str, search: PlanSearch) -> str:
    """Why a possible type is not among the table's options."""
    wanted = search.planner_input.constraints.get(name) or search.planner_input.default_constraint
    if wanted.sharding_types and sharding_type not in wanted.sharding_types:
        return "left out by sharding.sharding_types or sharding.tables"
    narrowest = wanted.min_partition or NARROWEST
    return f"one block: no width from {narrowest} up divides it; min_partition in sharding.tables.{name} allows less"
