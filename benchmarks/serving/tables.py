"""Tables of the scorer: speed, parity, swaps, memory, faults, soak, HTTP stacks."""

from collections.abc import Mapping
from typing import Any

from benchmarks.markdown import ResultTable, Rows, markdown_table, mib, newest

_PEERS = {
    "alone": "ours, a request at a time",
    "eager": "eager PyTorch",
    "compiled": "torch.compile",
    "split_eager": "eager, split",
    "split_compiled": "torch.compile, split",
    "folded_eager": "eager, folded",
    "folded_compiled": "torch.compile, folded",
    "parsed": "all but the model",
    "noop": "HTTP alone",
}
_COMPARED = {"eager", "compiled", "split_eager", "split_compiled", "folded_eager", "folded_compiled"}


def _table(head: list[str], lines: list[list[str]]) -> str:
    return markdown_table(head, lines) if lines else "Not measured yet."


def speed(rows: Rows) -> str:
    """One line a shape: requests a second, latencies at half of that, and the peers' requests a second."""
    lines = []
    for row in newest([row for row in rows if row["case"] == "speed"], "candidates", "length", "processes"):
        contenders = row["contenders"]
        ours = contenders["ours"]
        cells = [f"{ours['requests_per_s']:,.0f}"]
        for arrivals in ("half", "random"):
            known = f"{arrivals}_p50_ms" in ours
            cells.append(f"{ours[f'{arrivals}_p50_ms']:.1f}, {ours[f'{arrivals}_p99_ms']:.1f}" if known else "")
        for name in _PEERS:
            found = contenders.get(name)
            against = f" ({row['ours_over'][name]:.1f}x)" if found and name in _COMPARED else ""
            cells.append(f"{found['requests_per_s']:,.1f}{against}" if found else "")
        lines.append([f"{row['candidates']:,}", f"{row['length']:,}", *cells, *_shares(contenders, row["processes"])])
    head = ["candidates", "history", "requests/s", "p50, p99, ms", "at random times", *_PEERS.values()]
    head += ["HTTP's share", "parsing's and features'"]
    return _table(head, lines)


def _shares(contenders: Mapping[str, Mapping[str, Any]], processes: int) -> list[str]:
    """Of the time that a request of ours takes a core: what HTTP alone takes, and what all but the model adds."""
    if not {"noop", "parsed"} <= contenders.keys():
        return ["", ""]
    ours_us, http_us, parsed_us = (
        processes * 1e6 / contenders[name]["requests_per_s"] for name in ("ours", "noop", "parsed")
    )
    return [f"{http_us / ours_us:.1%}", f"{(parsed_us - http_us) / ours_us:.1%}"]


def parity(rows: Rows) -> str:
    """One line a data set and dtype: largest differences of logits, and of GAUC."""
    lines = []
    for row in newest([row for row in rows if row["case"] == "parity"], "data", "split", "dtype"):
        largest = [f"{row[key]:.1e}" for key in ("rows_largest", "requests_largest")]
        lines.append([row["data"], f"{row['rows']:,}", row["dtype"], *largest, f"{row['gauc_change']:+.5f}"])
    return _table(["data", "rows", "tables", "by rows", "by requests of one candidate", "GAUC"], lines)


def swap(rows: Rows) -> str:
    """One line: what failed, latencies with and without a swap under way, how long one takes."""
    lines = []
    for row in newest([row for row in rows if row["case"] == "swap" and "taken_s" in row], "processes"):
        taken = sorted(row["taken_s"])
        latencies = [f"{row[when]['p50_ms']:.1f}, {row[when]['p99_ms']:.1f}" for when in ("calm", "during")]
        failed = f"{row['failed'] + row['asked_failed']}"
        asked = [f"{row['requests'] + row['asked']:,}", failed, f"{row['mixed']}"]
        times = f"{taken[len(taken) // 2]:.1f}, {taken[-1]:.1f}"
        lines.append([f"{row['swaps']}", *asked, f"{row['rate']:,.0f}", *latencies, times])
    latency_heads = ["calm p50, p99, ms", "during a swap"]
    head = ["swaps", "requests", "failed", "mixed", "requests/s", *latency_heads, "taken after, s: median, longest"]
    return _table(head, lines)


def memory(rows: Rows) -> str:
    """One line a number of processes: what is shared, and what each has of its own."""
    lines = []
    for row in newest([row for row in rows if row["case"] == "memory" and "mapped_bytes" in row], "processes"):
        own = row["anonymous_bytes"] // row["processes"]
        shared = [mib(row["tables_and_vectors_bytes"]), mib(row["mapped_bytes"])]
        sizes = [mib(own), mib(row["supervisor_bytes"]), mib(row["pss_bytes"])]
        lines.append([f"{row['processes']}", *shared, *sizes, f"{row['first_answer_s']:.1f}"])
    head = ["processes", "tables and vectors", "of them in memory", "a process's own", "supervisor", "workers in all"]
    return _table([*head, "start to first answer, s"], lines)


def faults(rows: Rows) -> str:
    """One line a fault: what failed of how many, and how long until all was well."""
    lines = []
    for row in newest([row for row in rows if row["case"] == "faults"], "fault", "processes"):
        back = ", ".join(f"{s:.1f}" for s in row.get("back_s", []))
        taken = f"{row['taken_s']:.1f}" if "taken_s" in row else ""
        counts = [f"{row['times']}", f"{row['requests']:,}", f"{row['failed']}", f"{row.get('connections', 0)}"]
        lines.append([row["fault"], *counts, back, taken])
    head = ["fault", "times", "requests", "failed", "connections cut", "worker back after, s"]
    return _table([*head, "whole version taken after, s"], lines)


def soak(rows: Rows) -> str:
    """One line: what was asked, what failed, and memory at the start, in the midst and at the end."""
    lines = []
    for row in newest([row for row in rows if row["case"] == "soak"], "minutes", "processes"):
        held = row["anonymous_bytes"]
        asked = [f"{row['requests'] + row['asked']:,}", f"{row['failed'] + row['asked_failed']}", f"{row['wrong']:,}"]
        sizes = [mib(size) for size in (held[0], held[len(held) // 2], held[-1])]
        lines.append([f"{row['minutes']:g}", f"{row['swaps']}", *asked, f"{row['wrong_served']}", *sizes])
    memory_heads = ["workers' own memory, start", "half", "end"]
    head = ["minutes", "swaps", "requests", "failed", "wrong requests", "served", *memory_heads]
    return _table(head, lines)


def stacks(rows: Rows) -> str:
    """One line a stack: requests a second and CPU time a request, without work and with JSON."""
    lines = []
    for row in [row for row in rows if row["case"] == "stacks"][-1:]:
        for name, whats in row["stacks"].items():
            cells = [(f"{found['requests_per_s']:,}", f"{found['cpu_us']:.0f}") for found in whats.values()]
            lines.append([name, *(cell for pair in cells for cell in pair)])
    return _table(["stack", "nothing, requests/s", "CPU, us", "JSON of 20 KB, requests/s", "CPU, us"], lines)


TABLES = {
    f"scorer_{draw.__name__}": ResultTable("serving", draw)
    for draw in (speed, parity, swap, memory, faults, soak, stacks)
}
