"""Tables of the scorer's speed and parity."""

from benchmarks.markdown import ResultTable, Rows, markdown_table, newest

_PEERS = {"eager": "eager PyTorch", "compiled": "torch.compile", "parsed": "all but the model", "noop": "HTTP alone"}


def speed(rows: Rows) -> str:
    """One line a shape: requests a second, latencies at half of that, and the peers' requests a second."""
    lines = []
    for row in newest([row for row in rows if row["case"] == "speed"], "candidates", "length", "processes"):
        contenders = row["contenders"]
        ours = contenders["ours"]
        cells = [f"{ours['requests_per_s']:,.0f}", f"{ours['half_p50_ms']:.1f}", f"{ours['half_p99_ms']:.1f}"]
        for name in _PEERS:
            found = contenders.get(name)
            against = f" ({row['ours_over'][name]:.1f}x)" if found and name in ("eager", "compiled") else ""
            cells.append(f"{found['requests_per_s']:,.1f}{against}" if found else "")
        lines.append([f"{row['candidates']:,}", f"{row['length']:,}", *cells])
    head = ["candidates", "history", "requests/s", "p50, ms", "p99, ms", *_PEERS.values()]
    return markdown_table(head, lines)


def parity(rows: Rows) -> str:
    """One line a data set and dtype: largest differences of logits, and of GAUC."""
    lines = []
    for row in newest([row for row in rows if row["case"] == "parity"], "data", "split", "dtype"):
        largest = [f"{row[key]:.1e}" for key in ("rows_largest", "requests_largest")]
        lines.append([row["data"], f"{row['rows']:,}", row["dtype"], *largest, f"{row['gauc_change']:+.5f}"])
    return markdown_table(["data", "rows", "tables", "by rows", "by requests of one candidate", "GAUC"], lines)


TABLES = {"scorer_speed": ResultTable("serving", speed), "scorer_parity": ResultTable("serving", parity)}
