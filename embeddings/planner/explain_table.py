"""Why a table is placed as it is: what the other ways would cost."""

from embeddings.errors import InputError, nearest
from embeddings.planner.bin_packing import NoPlan, Option
from embeddings.planner.plan_cost import Assessment
from embeddings.planner.planner_input import Table
from embeddings.planner.report import columns, size
from embeddings.planner.search import MANY_IDS, SMALL_TABLE_BYTES, Search, options_of, stays_whole
from embeddings.planner.shard_layout import NARROWEST, TYPES, possible_types


def explain(name: str, best: Assessment, search: Search) -> str:
    """Every way to place table ``name``: planned anew with that way given, against the plan taken.

    Raises InputError where there is no such table.
    """
    if name not in search.options:
        raise InputError(f"no table '{name}'{nearest(name, search.options)}; tables: {', '.join(search.options)}")
    taken = best.plan.tables[name]
    table = search.problem.table(name)
    rows = []
    unasked = _unasked(table, search)
    ways = [(option, "") for option in search.options[name]] + [(option, ", but left out") for option in unasked]
    for option, remark in sorted(ways, key=lambda way: (way[0].kind != taken.sharding_type, way[0].ms)):
        is_taken = (option.kind, option.kernel) == (taken.sharding_type, taken.compute_kernel) and len(
            option.shards
        ) == len(taken.shards)
        own = [_width(option, table.columns), option.kernel, size(option.need), f"{option.ms:.3f}"]
        try:
            step_ms = best.step_ms if is_taken else search.best({name: option}).step_ms
            verdict = (
                "taken"
                if is_taken
                else f"{step_ms - best.step_ms:+.2f} ms, {100 * (step_ms / best.step_ms - 1):+.1f} %{remark}"
            )
        except NoPlan as none:
            short = f"does not fit: {size(none.shortage)} short on the roomiest rank"
            verdict = (
                short if none.shortage else "not possible: other sequence tables' column shards have another width"
            )
        rows.append([*own, verdict])
    allowed = possible_types(table.managed)
    offered = {row[0].split()[0] for row in rows}
    for kind in TYPES:
        if kind not in allowed:
            rows.append([kind, "", "", "", "not possible: TorchRec shards managed tables row-wise alone"])
        elif kind not in offered:
            rows.append([kind, "", "", "", _left_out(name, kind, search)])
    head = ["type", "kernel", ">largest shard", ">its ms", "step against the plan"]
    shape = f"{table.rows:,} x {table.columns}, {size(table.bytes)}, {table.ids:g} ids an example"
    small = (
        f"left out: on CPU a table under {size(SMALL_TABLE_BYTES)} with fewer than {MANY_IDS} ids an example "
        f"stays whole unless sharding.tables.{name} says more, or nothing fits else"
    )
    return "\n".join([f"table '{name}': {shape}", columns(head, rows), *([small] if unasked else [])])


def _unasked(table: Table, search: Search) -> list[Option]:
    """Ways that only the table's smallness leaves out."""
    wanted = search.problem.constraints.get(table.name) or search.problem.default
    if wanted.sharding_types or not stays_whole(table, search.machine):
        return []
    free = options_of(table, search.problem, search.machine, small_whole=False)
    return [o for o in free if o.kind != "table_wise"]


def _width(option: Option, whole: int) -> str:
    return option.kind + (f" {option.width}" if option.width != whole else "")


def _left_out(name: str, kind: str, search: Search) -> str:
    """Why a possible type is not among the table's options."""
    wanted = search.problem.constraints.get(name) or search.problem.default
    if wanted.sharding_types and kind not in wanted.sharding_types:
        return "left out by sharding.sharding_types or sharding.tables"
    narrowest = wanted.min_partition or NARROWEST
    return f"one block: no width from {narrowest} up divides it; min_partition in sharding.tables.{name} allows less"
