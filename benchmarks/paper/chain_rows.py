"""Result rows of benchmarks.paper.chain, one a CTR model and seed: those of the shown market, and their table."""

import statistics
from collections.abc import Mapping
from typing import Any

from benchmarks.markdown import Rows, markdown_table, newest
from benchmarks.spread import Mean
from recsys.models.titles import mode_title

RESULTS = "chain"  # name of the results file
ROWS, SEARCHES = 300_000, 30_000  # impressions and searches of the market that the documents speak of
_VECTORS = {"none": "ID", "raw": "raw pixels and words", "untrained": "untrained encoders", "scl": "SCL"}
_MODES = ("none", "simtier", "simtier+make")


def of_size(rows: Rows) -> list[Mapping[str, Any]]:
    """Those of a market of the size that the documents speak of."""
    return [row for row in rows if (row["shapes"]["rows"], row["shapes"]["searches"]) == (ROWS, SEARCHES)]


def key_of(row: Mapping[str, Any]) -> tuple:
    """Kind of vectors, mode and seed: what tells one CTR model of the chain from another."""
    return row["vectors"], row["mode"], row["seed"]


def chain(rows: Rows) -> str:
    """One line a kind of vectors and CTR model: how well the encoders find what was bought, and what that gives."""
    by_model: dict[tuple, list] = {}
    for row in newest(rows, "vectors", "mode", "seed"):
        by_model.setdefault((row["vectors"], row["mode"]), []).append(row)
    base = statistics.mean(row["gauc"] for row in by_model[("none", "none")])
    lines = []
    for vectors, mode in ((v, m) for v in _VECTORS for m in _MODES if (v, m) in by_model):
        runs = by_model[(vectors, mode)]
        accuracy = runs[-1]["accuracy"].get(vectors, {})
        at_one = [f"{accuracy[modality]:.3f}" if accuracy else "" for modality in ("image", "text")]
        enters_as = mode_title(mode).removeprefix("ID + ") if mode != "none" else ""
        gain = f"{statistics.mean(row['gauc'] for row in runs) - base:+.4f}" if mode != "none" else ""
        figures = [Mean.of([row[key] for row in runs]).four_places() for key in ("gauc", "auc")]
        lines.append([_VECTORS[vectors], *at_one, enters_as, *figures, gain, str(len(runs))])
    head = ["vectors", "Acc@1, photos", "Acc@1, words", "enter as", "GAUC", "AUC", "GAUC gain", "seeds"]
    return markdown_table(head, lines)
