"""A plan in words and columns, for a terminal."""

from collections.abc import Iterable, Sequence

import numpy as np

from embeddings.planner.hardware import GIB
from embeddings.planner.plan_cost import Assessment
from embeddings.planner.shard_layout import CUTS_COLUMNS
from embeddings.planner.sharding_plan import Placed

_FEW = 16  # ranks printed one by one
_FULLEST = 8  # of more than that


def size(count: float) -> str:
    """Bytes in a unit that reads well."""
    if count >= 0.1 * GIB:
        return f"{count / GIB:,.2f} GiB"
    return f"{count / 2**20:,.1f} MiB" if count >= 0.1 * 2**20 else f"{count / 2**10:,.1f} KiB"


def columns(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Aligned columns: the first to the left, the others as their head, which starts with '>' to go to the right."""
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


def spans(ranks: Iterable[int]) -> str:
    """Ranks in short: 0-3, 8, 12-15."""
    found: list[list[int]] = []
    for rank in sorted(set(ranks)):
        if found and rank == found[-1][1] + 1:
            found[-1][1] = rank
        else:
            found.append([rank, rank])
    parts = [str(a) if a == b else f"{a}-{b}" for a, b in found]
    return ", ".join(parts if len(parts) <= 4 else [*parts[:2], "...", parts[-1]])


def report(a: Assessment, every_rank: bool = False) -> str:
    """The whole report."""
    parts = [headline(a), tables(a)]
    if a.problem.frozen:
        parts.append(frozen(a))
    return "\n\n".join([*parts, ranks(a, every_rank), step(a)])


def headline(a: Assessment) -> str:
    hardware, machine = a.machine.hardware, a.machine
    ranks_of = "1 rank" if machine.world_size == 1 else f"{machine.world_size:,} ranks"
    hosts = "1 host" if machine.hosts == 1 else f"{machine.hosts:,} hosts"
    return (
        f"{ranks_of} of {hardware.name}, {hosts} of {machine.ranks_of_host}; "
        f"{a.problem.batch_size:,} rows a rank, {a.problem.optimizer}"
    )


def tables(a: Assessment) -> str:
    """One line a table, the slowest first."""
    rows = []
    for table in sorted(a.problem.tables, key=lambda t: -a.tables[t.name].slowest_ms):
        placed, cost = a.plan.tables[table.name], a.tables[table.name]
        memory = cost.device_bytes + cost.host_bytes - cost.copy_bytes
        rows.append(
            [
                table.name,
                f"{table.rows:,} x {table.columns}",
                _kind(placed),
                placed.compute_kernel,
                spans(placed.ranks),
                size(memory.sum()),
                size(memory.max()),
                f"{cost.slowest_ms:.3f}",
            ]
        )
    head = ["table", ">rows x columns", "type", "kernel", "ranks", ">memory", ">largest shard", ">ms a step"]
    return columns(head, rows)


def _kind(placed: Placed) -> str:
    width = f" {placed.shards[0, 3]}" if placed.sharding_type in CUTS_COLUMNS else ""
    return placed.sharding_type + width


def frozen(a: Assessment) -> str:
    rows = []
    for f in a.problem.frozen:
        device, host = a.fixed.frozen[f.name]
        place = "its host" if a.machine.hardware.device == "cuda" and host else "it"
        shape = f"{f.rows:,} x {f.width} {f.dtype}"
        rows.append([f.name, shape, a.plan.frozen[f.name], size(f.bytes), f"{size(device or host)} of {place}"])
    return columns(["frozen table", ">rows x width", "placement", ">whole", "a rank's share"], rows)


def ranks(a: Assessment, every_rank: bool) -> str:
    """Memory against capacity, rank by rank, or the fullest of many."""
    device, host = a.machine.capacity
    hardware, world = a.machine.hardware, a.machine.world_size
    cuda = hardware.device == "cuda"
    in_host, in_copy = cuda and bool(a.host_bytes.any()), bool(a.copy_bytes.any())
    shown = np.arange(world)
    if world > _FEW and not every_rank:
        shown = np.argsort(-a.device_bytes, kind="stable")[:_FULLEST]
    fixed = a.fixed
    in_frozen = sum(d for d, _ in fixed.frozen.values())
    rows = []
    for rank in shown.tolist():
        copy = a.copy_bytes[rank]
        of_tables = a.device_bytes[rank] - (copy - fixed.copy_bytes) * (not cuda) - fixed.device_bytes
        row = [str(rank), *(size(x) for x in (of_tables, fixed.dense_bytes, fixed.activation_bytes, in_frozen))]
        row += [size(copy)] if in_copy and not cuda else []
        row += [size(a.device_bytes[rank]), f"{100 * a.device_bytes[rank] / max(device, 1):.1f} %"]
        if in_host:
            whole = f"{size(a.host_bytes[rank])}, {100 * a.host_bytes[rank] / max(host, 1):.1f} %"
            row += [*([size(copy)] if in_copy else []), whole]
        rows.append([*row, f"{a.rank_ms[rank]:.3f}"])
    copied = [">checkpoint's copy"] if in_copy else []
    head = ["rank", ">tables", ">dense part", ">activations", ">frozen", *([] if cuda else copied)]
    head += [">in all", ">of capacity", *([*copied, ">host's share"] if in_host else []), ">ms of tables"]
    text = columns(head, rows)
    if len(shown) < world:
        text += f"\nthe {len(shown)} fullest of {world:,} ranks; the emptiest holds {size(a.device_bytes.min())}"
    whole = f"{hardware.hbm_gib:g} GiB" if cuda else f"{hardware.ddr_gib / a.machine.ranks_of_host:,.1f} GiB"
    return text + (
        f"\ncapacity of a rank: {size(device)} of {whole}; {100 * hardware.spare:g} % spare and "
        f"{hardware.process_gib:g} GiB of the process left out"
    )


def step(a: Assessment) -> str:
    """Where the time goes, and which rank the others wait for."""
    fullest = int(a.device_bytes.argmax())
    parts = f"dense {a.fixed.base_ms:.2f}"
    if a.problem.frozen:
        parts += f", frozen {a.fixed.frozen_ms:.2f}"
    calibrated = a.machine.hardware.calibrated
    return (
        f"critical rank {a.critical_rank}: {float(a.rank_ms.max()):.2f} ms of tables, imbalance {a.imbalance:.2f}; "
        f"fullest rank {fullest}: {size(a.device_bytes[fullest])}\n"
        f"step {a.step_ms:.2f} ms: {parts}, exchanges {a.exchanges_ms:.2f}, tables {float(a.rank_ms.max()):.2f}; "
        f"{a.examples_per_s:,.0f} examples/s\n"
        f"speeds: {'measured, ' + calibrated if calibrated else 'from data sheets, not measured'}"
    )
