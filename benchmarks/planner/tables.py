"""Tables of the planner's memory and step times beside measured ones."""

from benchmarks.markdown import ResultTable, Rows, markdown_table, mib


def planner_memory(rows: Rows) -> str:
    """One line a table set of the newest row: bytes of the ranks, planned and at their peak."""
    row = [row for row in rows if row["kind"] == "memory"][-1]
    lines = []
    for case in row["cases"]:
        planned, peak = (", ".join(mib(b) for b in case[key]) for key in ("planned_bytes", "peak_bytes"))
        errors = ", ".join(f"{100 * e:+.1f} %" for e in case["error"])
        lines.append([case["case"], ", ".join(case["types"]), planned, peak, errors])
    return markdown_table(["tables, on two ranks", "plan", "planned", "measured at the peak", "planned is"], lines)


def planner_speed(rows: Rows) -> str:
    """One line a family of plans of the newest row."""
    row = [row for row in rows if row["kind"] == "speed"][-1]
    lines = []
    for f in row["families"]:
        times = [f"{p:.0f} / {m:.0f}" for p, m in zip(f["planned_ms"], f["measured_ms"], strict=True)]
        plans = "; ".join(f"{name} {t}" for name, t in zip(f["plans"], times, strict=True))
        lines.append([f["family"], plans, f"{f['right']} of {f['pairs']}"])
    lines.append(["all", "", f"{row['right']} of {row['pairs']}, {100 * row['share']:.0f} %"])
    return markdown_table(["tables", "plans: ms a step, planned / measured", "pairs in the right order"], lines)


TABLES = {
    "planner_memory": ResultTable("planner", planner_memory),
    "planner_speed": ResultTable("planner", planner_speed),
}
