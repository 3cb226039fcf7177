"""Tables of the live index: look-ups under writes, SimTier through it, memory of its readers."""

from benchmarks.markdown import ResultTable, Rows, markdown_table, newest

_NAMES = {"index": "live index", "lmdb": "LMDB alone", "redis": "Redis"}


def look_ups(rows: Rows) -> str:
    """One line a contender of each size: ids a second, vectors written meanwhile, the slowest puts."""
    lines = []
    for row in newest([row for row in rows if row.get("what") == "look-ups"], "ids", "width", "readers"):
        for name, found in row["contenders"].items():
            cells = [f"{row['ids']:,}", _NAMES[name], f"{found['median']:,.0f}"]
            lines.append([*cells, f"{found['written_per_s']:,}", f"{found['put_p99_ms']:.0f}"])
    return markdown_table(["ids", "", "look-ups/s", "vectors put/s", "500 put, p99, ms"], lines)


def readers(rows: Rows) -> str:
    """One line a measurement."""
    lines = []
    for row in newest([row for row in rows if row.get("what") == "simtier"], "ids", "width"):
        for what, text in (("kernel", "SimTier"), ("whole", "look-ups and SimTier")):
            index, store = (f"{row[f'{of}_{what}_us'] / 1e3:.1f} ms" for of in ("index", "store"))
            lines.append([f"{text}, {row['ids']:,} ids", index, f"{store} through the store"])
    for row in newest([row for row in rows if row.get("what") == "memory"], "ids", "width"):
        size = row["vectors_bytes"] / 2**20
        for found in row["pss"]:
            vectors, whole = found["vectors_bytes"] / 2**20, found["bytes"] / 2**20
            text = f"vectors in {found['readers']} readers, all together"
            lines.append([text, f"{vectors:,.0f} MiB", f"of {size:,.0f} MiB on disk; {whole:,.0f} MiB in all"])
    return markdown_table(["", "live index", ""], lines)


TABLES = {"live_index": ResultTable("live", look_ups), "live_index_readers": ResultTable("live", readers)}
