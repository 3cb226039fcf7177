"""Difference of two sharding plans of one model, as text."""

from embeddings.planner.plan_cost import CostedPlan
from embeddings.planner.report import format_bytes, format_columns, format_ranks


def diff(old: CostedPlan, new: CostedPlan) -> str:
    """Tables and frozen tables that the plans place differently, and the change in memory and time, as text."""
    rows = []
    for table in new.planner_input.tables:
        before, after = old.plan.tables[table.name], new.plan.tables[table.name]
        if before == after:
            continue
        changes = [
            f"{a} -> {b}" if a != b else a
            for a, b in (
                (before.sharding_type, after.sharding_type),
                (before.compute_kernel, after.compute_kernel),
                (format_ranks(before.ranks), format_ranks(after.ranks)),
            )
        ]
        times = [x.tables[table.name].slowest_ms for x in (old, new)]
        rows.append([table.name, *changes, f"{times[0]:.3f} -> {times[1]:.3f}"])
    for f in new.planner_input.frozen:
        if old.plan.frozen[f.name] != new.plan.frozen[f.name]:
            rows.append([f.name, f"{old.plan.frozen[f.name]} -> {new.plan.frozen[f.name]}", "", "", ""])
    same = len(new.planner_input.tables) + len(new.planner_input.frozen) - len(rows)
    lines = [format_columns(["differs", "type", "kernel", "ranks", ">ms a step"], rows)] if rows else []
    lines.append(f"{same} placed alike" if rows else "no table is placed differently")
    for what, unit in (("fullest rank", format_bytes), ("step", _ms), ("imbalance", _plain)):
        values = [
            {"fullest rank": float(x.device_bytes.max()), "step": x.step_ms, "imbalance": x.imbalance}[what]
            for x in (old, new)
        ]
        change = f" ({100 * (values[1] / values[0] - 1):+.1f} %)" if values[0] else ""
        lines.append(f"{what}: {unit(values[0])} -> {unit(values[1])}{change}")
    if old.topology.world_size != new.topology.world_size:
        lines.append(f"ranks: {old.topology.world_size} -> {new.topology.world_size}")
    return "\n".join(lines)


def _ms(value: float) -> str:
    return f"{value:.2f} ms"


def _plain(value: float) -> str:
    return f"{value:.2f}"
