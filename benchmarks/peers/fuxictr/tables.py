"""The table of FuxiCTR's quality, from rows that ``benchmarks.peers.fuxictr.peer --append`` wrote."""

from pathlib import Path

from benchmarks.markdown import ResultTable, Rows, markdown_table
from benchmarks.spread import Mean

_HEAD = ["data", "FuxiCTR's DIN sees", "GAUC", "AUC", "GAUC, lowest to highest", "epochs kept", "seeds"]


def quality(rows: Rows) -> str:
    """One line a data set for ids alone, one for ids and vectors: the test split at the best epoch, over seeds."""
    latest = {(Path(r["data"]).name, bool(r["vectors"]), r["settings"]["seed"]): r for r in rows}
    lines = []
    for data, vectors in sorted({key[:2] for key in latest}):
        runs = [latest[key] for key in sorted(latest) if key[:2] == (data, vectors)]
        gauc, auc = ([row["test"][metric] for row in runs] for metric in ("gauc", "auc"))
        kept = ", ".join(str(row["best_epoch"]) for row in runs)
        extremes = f"{min(gauc):.4f} to {max(gauc):.4f}"
        means = (Mean.of(values).four_places() for values in (gauc, auc))
        lines.append([data, "ids and frozen vectors" if vectors else "ids", *means, extremes, kept, str(len(runs))])
    return markdown_table(_HEAD, lines)


TABLES = {"peer": ResultTable("fuxictr", quality)}
