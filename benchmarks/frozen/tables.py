"""Tables of frozen vectors: over ranks, in host memory, in fewer bits."""

import statistics

from benchmarks.markdown import ResultTable, Rows, markdown_table, mib, newest

_CONTENDERS = {
    "fetch": "TorchRec fetches the vectors",
    "fetch, SimTier": "TorchRec fetches, SimTier",
    "fetch, SimTier and MAKE": "TorchRec fetches, SimTier and MAKE",
}


def over_ranks(rows: Rows) -> str:
    """One line a number of ranks and contender; network bytes and time against fetching every vector."""
    lines = []
    for row in newest([row for row in rows if row["case"] == "row_wise"], "ranks"):
        for name, c in row["contenders"].items():
            share, time = row["bytes_of_peer"][name], row["time_of_peer"][name]
            figures = [f"{c['bytes'] / 1e6:.2f} MB", f"1/{1 / share:.0f}", f"{c['median']:.1f} ms", f"{time:.2f}x"]
            title = _CONTENDERS.get(name, f"row_wise {name.removeprefix('ours ')}")
            lines.append([str(row["ranks"]), title, *figures])
    return markdown_table(["ranks", "step", "network bytes", "of fetching's", "time", "of fetching's"], lines)


def placements(rows: Rows) -> str:
    """One line a placement: what all ranks hold together, and the kernel's time."""
    row = [row for row in rows if row["case"] == "host"][-1]
    size, lines = f"{row['rows']:,} x {row['width']} {row['dtype']}, {mib(row['table_bytes'])}", []
    for name, held in row["held"].items():
        mapped = mib(sum(h["map"]["proportional_bytes"] for h in held))
        grown = mib(sum(h["grown_proportional_bytes"] for h in held))
        times = f"{statistics.mean(h['step_ms'] for h in held):.1f} ms"
        lines.append([name, size, str(len(held)), mapped, grown, times])
    head = ["placement", "vectors", "ranks", "of the store's map, all ranks", "held in all", "SimTier, L = 200"]
    return markdown_table(head, lines)


def precision(rows: Rows) -> str:
    """One line a format, over runs."""
    by_format: dict[str, list] = {}
    for row in newest(rows, "format", "run"):
        by_format.setdefault(row["format"], []).append(row)
    lines = []
    for name in sorted(by_format, key=lambda f: by_format[f][0]["moved"]):
        runs = by_format[name]
        changes = [f"{row['gauc_change']:+.5f}" for row in runs]
        lines.append([name, f"{100 * runs[0]['moved']:.2f} %", ", ".join(changes)])
    return markdown_table(["vectors in", "behaviours in another tier", "change in GAUC, run by run"], lines)


TABLES = {
    "over_ranks": ResultTable("frozen", over_ranks),
    "placements": ResultTable("frozen", placements),
    "precision": ResultTable("precision", precision),
}
