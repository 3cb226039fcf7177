"""Tables of the kernels' times."""

from benchmarks.markdown import ResultTable, Rows, markdown_table, newest


def kernels(rows: Rows) -> str:
    """One line a kernel, shape and allocator: milliseconds, and in brackets how many times ours in float32."""
    peers = {"eager": "eager", "one-hot": "one-hot", "fbgemm": "FBGEMM", "compiled": "torch.compile"}
    ours = {f"ours {d}": f"ours, {d}" for d in ("float32", "float16", "int8")}
    columns = peers | ours | {"limit float32": "reading alone, float32"}
    lines = []
    rows = [row for row in rows if row["case"] in ("simtier", "make")]
    for row in newest([{"hidden": 0, **row} for row in rows], "allocator", "case", "hidden", "length"):
        times = {name: c["median_us"] for name, c in row["contenders"].items()}
        cells = [_against(times[c], times["ours float32"], c) if c in times else "" for c in columns]
        shape = f"L = {row['length']}" + (f", H = {row['hidden']}" if row["hidden"] else "")
        kernel = {"simtier": "SimTier", "make": "MAKE, both ways"}[row["case"]]
        lines.append([kernel, shape, row["allocator"], *cells])
    return markdown_table(["kernel", "shape", "allocator", *columns.values()], lines)


def shared(rows: Rows) -> str:
    """One line a dtype: candidates against one shared history."""
    lines = []
    for row in newest([row for row in rows if row["case"] == "shared"], "allocator", "dtype"):
        ours, separate = (row["contenders"][name]["median_us"] for name in ("ours", "separate"))
        figures = [f"{separate / 1e3:.2f} ms", f"{ours / 1e3:.2f} ms", f"{separate / ours:.1f}x"]
        lines.append([row["dtype"], row["allocator"], *figures])
    return markdown_table(["table", "allocator", "a history each", "one history, bag_index", "faster"], lines)


def sa_ta(rows: Rows) -> str:
    """One line a dtype, shape and allocator: milliseconds, and in brackets how many times one pass."""
    columns = {
        "SimTier alone": "SimTier alone",
        "ours": "with cosines, one pass",
        "two passes": "two passes",
        "gathered": "SimTier, and gathered vectors",
    }
    lines = []
    for row in newest([row for row in rows if row["case"] == "sa_ta"], "allocator", "dtype", "length"):
        times = {name: row["contenders"][name]["median_us"] for name in columns}
        cells = [f"{t / 1e3:.2f}" + (f" ({t / times['ours']:.2g}x)" if n != "ours" else "") for n, t in times.items()]
        lines.append([row["dtype"], f"L = {row['length']}", row["allocator"], *cells])
    return markdown_table(["table", "shape", "allocator", *columns.values()], lines)


def _against(time_us: float, ours_us: float, name: str) -> str:
    return f"{time_us / 1e3:.2f}" if name == "ours float32" else f"{time_us / 1e3:.2f} ({time_us / ours_us:.2g}x)"


TABLES = {
    "kernels": ResultTable("kernels", kernels),
    "shared": ResultTable("kernels", shared),
    "sa_ta": ResultTable("kernels", sa_ta),
}
