"""The Markdown table of the peer's quality, from rows that ``peer.py --append`` wrote."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.paper.figures import Mean
from benchmarks.paper.tables import four, markdown

_HEAD = ["data", "FuxiCTR's DIN sees", "GAUC", "AUC", "GAUC, lowest to highest", "epochs kept", "seeds"]


def quality(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line a data set for ids alone, one for ids and vectors: the test split at the best epoch, over seeds."""
    latest = {(Path(r["data"]).name, bool(r["vectors"]), r["settings"]["seed"]): r for r in rows}
    lines = []
    for data, vectors in sorted({key[:2] for key in latest}):
        own = [latest[key] for key in sorted(latest) if key[:2] == (data, vectors)]
        gauc, auc = ([row["test"][metric] for row in own] for metric in ("gauc", "auc"))
        kept = ", ".join(str(row["best_epoch"]) for row in own)
        extremes = f"{min(gauc):.4f} to {max(gauc):.4f}"
        seen = "ids and frozen vectors" if vectors else "ids"
        lines.append([data, seen, four(Mean.of(gauc)), four(Mean.of(auc)), extremes, kept, str(len(own))])
    return markdown(_HEAD, lines)
