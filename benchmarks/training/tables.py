"""Tables of training speed and of where a step's time goes."""

from benchmarks.markdown import ResultTable, Rows, markdown_table, newest
from recsys.models.titles import mode_title

_CONTENDERS = {
    "ours": "tierwise",
    "pytorch_padded": "plain PyTorch",
    "pytorch_jagged": "plain PyTorch with our attention",
    "fuxictr": "FuxiCTR DIN",
}
_EARLIER = {"twin_padded": "pytorch_padded", "twin_jagged": "pytorch_jagged"}  # names in rows of 2026


def throughput(rows: Rows) -> str:
    """One line a data set, mode and contender."""
    lines = []
    for row in newest(rows, "data", "mode", "batch_size"):
        for name, c in row["contenders"].items():
            ratio = "" if name == "ours" else f"{row['ratios'][name]:.2f}x"
            batch = f"{row['batch_size'] * row['shapes']['ranks']:,}"
            how = f"{c['ranks']} ranks" if name == "ours" else f"{c['threads']} threads, {c['variant']}"
            trainer = _CONTENDERS[_EARLIER.get(name, name)]
            lines.append([row["data"], mode_title(row["mode"]), batch, trainer, how, f"{c['median']:,.0f}", ratio])
    return markdown_table(["data", "model", "rows a step", "trainer", "how", "examples/s", "ours is"], lines)


def profile(rows: Rows) -> str:
    """One line a data set and mode: the share of a step's time by what it goes to."""
    rows = newest(rows, "data", "mode", "batch_size")
    names = list(rows[0]["shares"])
    lines = [
        [r["data"], mode_title(r["mode"]), f"{r['step_ms']:.1f}", *(f"{100 * r['shares'][n]:.0f} %" for n in names)]
        for r in rows
    ]
    return markdown_table(["data", "model", "step, ms", *names], lines)


TABLES = {"throughput": ResultTable("train_step", throughput), "profile": ResultTable("profile", profile)}
