"""Text report of a sharding plan for a terminal: tables, frozen tables, memory of the ranks, time of a step."""

from collections.abc import Iterable, Sequence

import numpy as np

from embeddings.planner.hardware import GIB
from embeddings.planner.plan_cost import CostedPlan
from embeddings.planner.sharding_plan import ParameterSharding
from embeddings.planner.sharding_types import CUTS_COLUMNS

_FEW = 16  # ranks printed one by one
_FULLEST = 8  # of more than that


def format_bytes(count: float) -> str:
    """A number of bytes as text, in KiB, MiB or GiB."""
    if count >= 0.1 * GIB:
        return f"{count / GIB:,.2f} GiB"
    return f"{count / 2**20:,.1f} MiB" if count >= 0.1 * 2**20 else f"{count / 2**10:,.1f} KiB"


def format_columns(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of text as aligned columns under ``head``; a column whose head starts with '>' is aligned to the right."""
    rows = [[h.lstrip(">") for h in head], *rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if h.startswith(">") else cell.ljust(width)
            for cell, width, h in zip(row, widths, head, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def format_ranks(ranks: Iterable[int]) -> str:
    """Ranks as text, in ranges: 0-3, 8, 12-15; the middle left out where there are more than four."""
    ranges: list[list[int]] = []
    for rank in sorted(set(ranks)):
        if ranges and rank == ranges[-1][1] + 1:
            ranges[-1][1] = rank
        else:
            ranges.append([rank, rank])
    parts = [str(a) if a == b else f"{a}-{b}" for a, b in ranges]
    return ", ".join(parts if len(parts) <= 4 else [*parts[:2], "...", parts[-1]])


def report(costed: CostedPlan, every_rank: bool = False) -> str:
    """The whole report: headline, tables, frozen tables, ranks, step.

    Args:
        every_rank: list all ranks, not the fullest alone.
    """
    parts = [headline(costed), tables(costed)]
    if costed.planner_input.frozen:
        parts.append(frozen(costed))
    return "\n\n".join([*parts, ranks(costed, every_rank), step(costed)])


def headline(costed: CostedPlan) -> str:
    """Ranks, hardware, hosts, batch size and the tables' optimizer, in a line."""
    hardware, topology = costed.topology.hardware, costed.topology
    ranks_of = "1 rank" if topology.world_size == 1 else f"{topology.world_size:,} ranks"
    hosts = "1 host" if topology.hosts == 1 else f"{topology.hosts:,} hosts"
    return (
        f"{ranks_of} of {hardware.name}, {hosts} of {topology.ranks_of_host}; "
        f"{costed.planner_input.batch_size:,} rows a rank, {costed.planner_input.optimizer}"
    )


def tables(costed: CostedPlan) -> str:
    """One line an ID table, the slowest first."""
    rows = []
    for table in sorted(costed.planner_input.tables, key=lambda t: -costed.tables[t.name].slowest_ms):
        sharding, cost = costed.plan.tables[table.name], costed.tables[table.name]
        memory = cost.device_bytes + cost.host_bytes - cost.copy_bytes
        rows.append(
            [
                table.name,
                f"{table.rows:,} x {table.columns}",
                _sharding_type(sharding),
                sharding.compute_kernel,
                format_ranks(sharding.ranks),
                format_bytes(memory.sum()),
                format_bytes(memory.max()),
                f"{cost.slowest_ms:.3f}",
            ]
        )
    head = ["table", ">rows x columns", "type", "kernel", "ranks", ">memory", ">largest shard", ">ms a step"]
    return format_columns(head, rows)


def _sharding_type(sharding: ParameterSharding) -> str:
    width = f" {sharding.shards[0, 3]}" if sharding.sharding_type in CUTS_COLUMNS else ""
    return sharding.sharding_type + width


def frozen(costed: CostedPlan) -> str:
    """One line a frozen table."""
    rows = []
    for f in costed.planner_input.frozen:
        device, host = costed.fixed.frozen[f.name]
        place = "its host" if costed.topology.hardware.device == "cuda" and host else "it"
        shape = f"{f.rows:,} x {f.width} {f.dtype}"
        rows.append(
            [
                f.name,
                shape,
                costed.plan.frozen[f.name],
                format_bytes(f.bytes),
                f"{format_bytes(device or host)} of {place}",
            ]
        )
    return format_columns(["frozen table", ">rows x width", "placement", ">whole", "a rank's share"], rows)


def ranks(costed: CostedPlan, every_rank: bool) -> str:
    """Memory against capacity, rank by rank, or the fullest of many."""
    device, host = costed.topology.capacity
    hardware, world = costed.topology.hardware, costed.topology.world_size
    cuda = hardware.device == "cuda"
    in_host, in_copy = cuda and bool(costed.host_bytes.any()), bool(costed.copy_bytes.any())
    shown: np.ndarray = np.arange(world)
    if world > _FEW and not every_rank:
        shown = np.argsort(-costed.device_bytes, kind="stable")[:_FULLEST]
    fixed = costed.fixed
    in_frozen = sum(d for d, _ in fixed.frozen.values())
    rows = []
    for rank in shown.tolist():
        copy = costed.copy_bytes[rank]
        of_tables = costed.device_bytes[rank] - (copy - fixed.copy_bytes) * (not cuda) - fixed.device_bytes
        row = [str(rank), *(format_bytes(x) for x in (of_tables, fixed.dense_bytes, fixed.activation_bytes, in_frozen))]
        row += [format_bytes(copy)] if in_copy and not cuda else []
        row += [format_bytes(costed.device_bytes[rank]), f"{100 * costed.device_bytes[rank] / max(device, 1):.1f} %"]
        if in_host:
            whole = f"{format_bytes(costed.host_bytes[rank])}, {100 * costed.host_bytes[rank] / max(host, 1):.1f} %"
            row += [*([format_bytes(copy)] if in_copy else []), whole]
        rows.append([*row, f"{costed.rank_ms[rank]:.3f}"])
    copied = [">checkpoint's copy"] if in_copy else []
    head = ["rank", ">tables", ">dense part", ">activations", ">frozen", *([] if cuda else copied)]
    head += [">in all", ">of capacity", *([*copied, ">host's share"] if in_host else []), ">ms of tables"]
    text = format_columns(head, rows)
    if len(shown) < world:
        least = format_bytes(costed.device_bytes.min())
        text += f"\nthe {len(shown)} fullest of {world:,} ranks; the emptiest holds {least}"
    whole = f"{hardware.hbm_gib:g} GiB" if cuda else f"{hardware.ddr_gib / costed.topology.ranks_of_host:,.1f} GiB"
    return text + (
        f"\ncapacity of a rank: {format_bytes(device)} of {whole}; {100 * hardware.spare:g} % spare and "
        f"{hardware.process_gib:g} GiB of the process left out"
    )


def step(costed: CostedPlan) -> str:
    """Where the time goes, and which rank the others wait for."""
    fullest = int(costed.device_bytes.argmax())
    parts = f"dense {costed.fixed.base_ms:.2f}"
    if costed.planner_input.frozen:
        parts += f", frozen {costed.fixed.frozen_ms:.2f}"
    calibrated = costed.topology.hardware.calibrated
    return (
        f"critical rank {costed.critical_rank}: {float(costed.rank_ms.max()):.2f} ms of tables, "
        f"imbalance {costed.imbalance:.2f}; fullest rank {fullest}: {format_bytes(costed.device_bytes[fullest])}\n"
        f"step {costed.step_ms:.2f} ms: {parts}, exchanges {costed.exchanges_ms:.2f}, "
        f"tables {float(costed.rank_ms.max()):.2f}; {costed.examples_per_s:,.0f} examples/s\n"
        f"speeds: {'measured, ' + calibrated if calibrated else 'from data sheets, not measured'}"
    )
