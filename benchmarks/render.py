"""Rewrites the tables of README.md and docs/paper.md from benchmarks/results: python -m benchmarks.render [--check].

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``. Where rows were measured again, the newest count.
"""

import re
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.paper import encoder_accuracy as accuracy
from benchmarks.paper.figure6a import of_size
from benchmarks.paper.figures import Mean
from benchmarks.paper.tables import DRAWN, drawn, drawn6a, four, markdown
from benchmarks.peers.fuxictr.table import quality as peer_quality
from embeddings.errors import InputError, nearest

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "paper.md")
PAPER_DATA = ("shop", "microlens", "microlens-one-epoch")  # configs whose runs docs/paper.md shows
MODES = {"none": "ID", "vector": "ID + Vector", "simscore": "ID + SimScore", "simtier": "ID + SimTier"}
CONTENDERS = {
    "ours": "tierwise",
    "twin_padded": "plain PyTorch",
    "twin_jagged": "plain PyTorch with our attention",
    "fuxictr": "FuxiCTR DIN",
}
FROZEN = {
    "fetch": "TorchRec fetches the vectors",
    "fetch, SimTier": "TorchRec fetches, SimTier",
    "fetch, SimTier and MAKE": "TorchRec fetches, SimTier and MAKE",
}
_TABLE = re.compile(r"(?P<begin><!-- table: (?P<name>[\w-]+) -->\n)(?P<body>.*?)(?P<end><!-- end -->)", re.DOTALL)

Rows = Sequence[Mapping[str, Any]]


def render(text: str, rows_of: Callable[[str], Rows]) -> str:
    """``text`` with every marked table written anew. Raises InputError for a table that nobody knows.

    Args:
        rows_of: the rows of a results file, by its name, oldest first.
    """

    def table(found: re.Match) -> str:
        if found["name"] not in TABLES:
            known = ", ".join(TABLES)
            raise InputError(f"table '{found['name']}' is unknown{nearest(found['name'], TABLES)}; allowed: {known}")
        source, draw = TABLES[found["name"]]
        rows = rows_of(source)
        body = draw(rows) if rows else "Not measured yet."
        return f"{found['begin']}{body}\n{found['end']}"

    return _TABLE.sub(table, text)


def newest(rows: Rows, *keys: str) -> list[Mapping[str, Any]]:
    """The last row of each combination of ``keys``, sorted by them."""
    latest = {tuple(row[k] for k in keys): row for row in rows}
    return [latest[k] for k in sorted(latest)]


def throughput(rows: Rows) -> str:
    """One line a data set, mode and contender."""
    lines = []
    for row in newest(rows, "data", "mode", "batch_size"):
        for name, c in row["contenders"].items():
            ratio = "" if name == "ours" else f"{row['ratios'][name]:.2f}x"
            batch = f"{row['batch_size'] * row['shapes']['ranks']:,}"
            how = f"{c['ranks']} ranks" if name == "ours" else f"{c['threads']} threads, {c['variant']}"
            lines.append([row["data"], MODES[row["mode"]], batch, CONTENDERS[name], how, f"{c['median']:,.0f}", ratio])
    return markdown(["data", "model", "rows a step", "trainer", "how", "examples/s", "ours is"], lines)


def profile(rows: Rows) -> str:
    """One line a data set and mode: the share of a step's time by what it goes to."""
    rows = newest(rows, "data", "mode", "batch_size")
    names = list(rows[0]["shares"])
    lines = [
        [r["data"], MODES[r["mode"]], f"{r['step_ms']:.1f}", *(f"{100 * r['shares'][n]:.0f} %" for n in names)]
        for r in rows
    ]
    return markdown(["data", "model", "step, ms", *names], lines)


def memory(rows: Rows) -> str:
    """The newest row."""
    r = rows[-1]
    line = [
        f"{r['rows']:,}",
        *(_mib(r[f"{name}_bytes"]) for name in ("disk", "decoded", "limit", "peak")),
        f"{r['slope_bytes_per_mrow'] / 2**20:+.2f} MiB",
    ]
    head = ["rows read", "on disk", "decoded", "limit", "peak of the process", "growth per million rows, second half"]
    return markdown(head, [line])


def conversion(rows: Rows) -> str:
    """The newest row."""
    r = rows[-1]
    line = [
        f"{r['rows']:,}",
        f"{r['shapes']['vectors']:,}",
        *(_mib(r[name]) for name in ("disk_bytes", "limit_bytes", "peak_bytes")),
        f"{r['rows'] / r['seconds']:,.0f}",
    ]
    return markdown(["rows", "vectors", "source on disk", "limit", "peak of the process", "rows/s"], [line])


def kernels(rows: Rows) -> str:
    """One line a kernel, shape and allocator: milliseconds, and in brackets how many times ours in float32."""
    peers = {"eager": "eager", "one-hot": "one-hot", "fbgemm": "FBGEMM", "compiled": "torch.compile"}
    own = {f"ours {d}": f"ours, {d}" for d in ("float32", "float16", "int8")}
    columns = peers | own | {"limit float32": "reading alone, float32"}
    lines = []
    rows = [row for row in rows if row["case"] in ("simtier", "make")]
    for row in newest([{"hidden": 0, **row} for row in rows], "allocator", "case", "hidden", "length"):
        times = {name: c["median_us"] for name, c in row["contenders"].items()}
        cells = [_against(times[c], times["ours float32"], c) if c in times else "" for c in columns]
        shape = f"L = {row['length']}" + (f", H = {row['hidden']}" if row["hidden"] else "")
        kind = {"simtier": "SimTier", "make": "MAKE, both ways"}[row["case"]]
        lines.append([kind, shape, row["allocator"], *cells])
    return markdown(["kernel", "shape", "allocator", *columns.values()], lines)


def shared(rows: Rows) -> str:
    """One line a dtype."""
    lines = []
    for row in newest([row for row in rows if row["case"] == "shared"], "allocator", "dtype"):
        ours, separate = (row["contenders"][name]["median_us"] for name in ("ours", "separate"))
        figures = [f"{separate / 1e3:.2f} ms", f"{ours / 1e3:.2f} ms", f"{separate / ours:.1f}x"]
        lines.append([row["dtype"], row["allocator"], *figures])
    return markdown(["table", "allocator", "a history each", "one history, bag_index", "faster"], lines)


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
    return markdown(["table", "shape", "allocator", *columns.values()], lines)


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
    return markdown(["vectors in", "behaviours in another tier", "change in GAUC, run by run"], lines)


def over_ranks(rows: Rows) -> str:
    """One line a number of ranks and contender; bytes and time against fetching every vector."""
    lines = []
    for row in newest([row for row in rows if row["case"] == "row_wise"], "ranks"):
        for name, c in row["contenders"].items():
            wire, time = row["bytes_of_peer"][name], row["time_of_peer"][name]
            figures = [f"{c['bytes'] / 1e6:.2f} MB", f"1/{1 / wire:.0f}", f"{c['median']:.1f} ms", f"{time:.2f}x"]
            lines.append([str(row["ranks"]), FROZEN.get(name, f"row_wise {name.removeprefix('ours ')}"), *figures])
    return markdown(["ranks", "step", "on the wire", "of fetching's", "time", "of fetching's"], lines)


def placements(rows: Rows) -> str:
    """One line a placement: what all ranks hold together, and the kernel's time."""
    row = [row for row in rows if row["case"] == "host"][-1]
    size, lines = f"{row['rows']:,} x {row['width']} {row['dtype']}, {_mib(row['table_bytes'])}", []
    for name, held in row["held"].items():
        mapped = _mib(sum(h["map"]["proportional_bytes"] for h in held))
        grown = _mib(sum(h["grown_proportional_bytes"] for h in held))
        times = f"{statistics.mean(h['step_ms'] for h in held):.1f} ms"
        lines.append([name, size, str(len(held)), mapped, grown, times])
    head = ["placement", "vectors", "ranks", "of the store's map, all ranks", "held in all", "SimTier, L = 200"]
    return markdown(head, lines)


def planner_memory(rows: Rows) -> str:
    """One line a table set of the newest row: bytes of the ranks, planned and at their peak."""
    newest_row = [row for row in rows if row["kind"] == "memory"][-1]
    lines = []
    for case in newest_row["cases"]:
        planned, there = (", ".join(_mib(b) for b in case[key]) for key in ("planned_bytes", "peak_bytes"))
        errors = ", ".join(f"{100 * e:+.1f} %" for e in case["error"])
        lines.append([case["case"], ", ".join(case["types"]), planned, there, errors])
    return markdown(["tables, on two ranks", "plan", "planned", "measured at the peak", "planned is"], lines)


def planner_speed(rows: Rows) -> str:
    """One line a family of plans of the newest row."""
    newest_row = [row for row in rows if row["kind"] == "speed"][-1]
    lines = []
    for f in newest_row["families"]:
        times = [f"{p:.0f} / {m:.0f}" for p, m in zip(f["planned_ms"], f["measured_ms"], strict=True)]
        plans = "; ".join(f"{name} {t}" for name, t in zip(f["plans"], times, strict=True))
        lines.append([f["family"], plans, f"{f['right']} of {f['pairs']}"])
    lines.append(["all", "", f"{newest_row['right']} of {newest_row['pairs']}, {100 * newest_row['share']:.0f} %"])
    return markdown(["tables", "plans: ms a step, planned / measured", "pairs in the right order"], lines)


def chain(rows: Rows) -> str:
    """One line a kind of vectors and CTR model: how well the encoders find what was bought, and what that gives."""
    kinds = {"none": "ID", "raw": "raw pixels and words", "untrained": "untrained encoders", "scl": "SCL"}
    names = {"none": "", "simtier": "SimTier", "simtier+make": "SimTier + MAKE"}
    by_model: dict[tuple, list] = {}
    for row in newest(rows, "vectors", "mode", "seed"):
        by_model.setdefault((row["vectors"], row["mode"]), []).append(row)
    base = statistics.mean(row["gauc"] for row in by_model[("none", "none")])
    lines = []
    for vectors, mode in ((v, m) for v in kinds for m in names if (v, m) in by_model):
        runs = by_model[(vectors, mode)]
        accuracy = runs[-1]["accuracy"].get(vectors, {})
        found = [f"{accuracy[kind]:.3f}" if accuracy else "" for kind in ("image", "text")]
        gain = f"{statistics.mean(row['gauc'] for row in runs) - base:+.4f}" if mode != "none" else ""
        figures = [four(Mean.of([row[key] for row in runs])) for key in ("gauc", "auc")]
        lines.append([kinds[vectors], *found, names[mode], *figures, gain, str(len(runs))])
    return markdown(
        ["vectors", "Acc@1, photos", "Acc@1, words", "enter as", "GAUC", "AUC", "GAUC gain", "seeds"], lines
    )


TABLES: dict[str, tuple[str, Callable[[Rows], str]]] = {
    "shop": ("paper", drawn("table3", "shop", brief=True)),
    "microlens": ("paper", drawn("table3", "microlens", brief=True)),
    "peer": ("fuxictr", peer_quality),
    "throughput": ("train_step", throughput),
    "profile": ("profile", profile),
    "memory": ("memory", memory),
    "conversion": ("conversion", conversion),
    "kernels": ("kernels", kernels),
    "shared": ("kernels", shared),
    "sa_ta": ("kernels", sa_ta),
    "precision": ("precision", precision),
    "over_ranks": ("frozen", over_ranks),
    "placements": ("frozen", placements),
    "planner_memory": ("planner", planner_memory),
    "planner_speed": ("planner", planner_speed),
    "chain": ("chain", lambda rows: chain(of_size(rows))),
    "grocery_table2": ("paper", accuracy.drawn("grocery")),
    "shop_fig6a": ("chain", drawn6a),
    **{f"{data}_{target}": ("paper", drawn(target, data)) for data in PAPER_DATA for target in DRAWN},
}


def _against(time_us: float, own_us: float, name: str) -> str:
    return f"{time_us / 1e3:.2f}" if name == "ours float32" else f"{time_us / 1e3:.2f} ({time_us / own_us:.2g}x)"


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"


def rewrite(check: bool = False) -> list[str]:
    """Write the pages' tables anew, or only look; the names of pages that were stale."""
    from benchmarks.harness import read

    stale = []
    for page in PAGES:
        old = page.read_text()
        new = render(old, read)
        if new != old:
            stale.append(str(page.relative_to(ROOT)))
            if not check:
                page.write_text(new)
    return stale


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--check", is_flag=True, help="Write nothing; exit with status 1 where a page is stale.")
def main(check: bool) -> None:
    """Rewrite the tables of the README and of docs/paper.md from the rows in benchmarks/results."""
    stale = rewrite(check)
    if check and stale:
        print(f"{', '.join(stale)} is stale; run 'python -m benchmarks.render'", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
