"""Tables of memory while reading and converting."""

from benchmarks.markdown import ResultTable, Rows, markdown_table, mib


def memory(rows: Rows) -> str:
    """The newest row."""
    r = rows[-1]
    line = [
        f"{r['rows']:,}",
        *(mib(r[f"{name}_bytes"]) for name in ("disk", "decoded", "limit", "peak")),
        f"{r['slope_bytes_per_mrow'] / 2**20:+.2f} MiB",
    ]
    head = ["rows read", "on disk", "decoded", "limit", "peak of the process", "growth per million rows, second half"]
    return markdown_table(head, [line])


def conversion(rows: Rows) -> str:
    """The newest row."""
    r = rows[-1]
    line = [
        f"{r['rows']:,}",
        f"{r['shapes']['vectors']:,}",
        *(mib(r[name]) for name in ("disk_bytes", "limit_bytes", "peak_bytes")),
        f"{r['rows'] / r['seconds']:,.0f}",
    ]
    return markdown_table(["rows", "vectors", "source on disk", "limit", "peak of the process", "rows/s"], [line])


TABLES = {"memory": ResultTable("memory", memory), "conversion": ResultTable("conversion", conversion)}
