"""Figure 6a: how well encoders find what was bought, and what their vectors then give to a CTR model.

The encoders are those of ``benchmarks.paper.chain``, stopped after so many epochs.
"""

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.markdown import Rows
from benchmarks.paper.chain import DATA, VECTORS, Chain
from benchmarks.paper.chain_rows import ROWS, SEARCHES, key_of, of_size
from benchmarks.paper.figures import gains
from benchmarks.spread import Mean

STOPPED = {f"scl-{n}": (f"train.epochs={n}",) for n in (1, 2, 4)}
LEARNT = {"untrained": VECTORS["untrained"], **STOPPED, "scl": VECTORS["scl"]}
NAMES = {
    "untrained": "untrained",
    "scl-1": "1 epoch",
    "scl-2": "2 epochs",
    "scl-4": "4 epochs",
    "scl": "all epochs",
}
_MODE = "simtier"
_RANKS = 2  # the shipped configs' batch sizes are for so many


def train(root: str, seeds: int, overrides: tuple[str, ...]) -> list[dict[str, Any]]:
    """Run every step that is not done; one row a CTR model and seed. Raises InputError."""
    chain = Chain(Path(DATA), Path(root) / "chain", _RANKS, overrides, LEARNT, (_MODE,), "fig6a.json")
    return chain.whole(ROWS, SEARCHES, 0, seeds)


def points(rows: Rows) -> dict[str, tuple[dict[str, float], Rows, Mean]]:
    """Kind of vectors -> Acc@1 by modality, the CTR models' rows, their gain in GAUC over ids in percent."""
    latest = {key_of(row): row for row in of_size(rows)}
    ids = [row for (vectors, *_), row in latest.items() if vectors == "none"]
    by_kind: dict[str, tuple[dict[str, float], Rows, Mean]] = {}
    for kind in LEARNT:
        if runs := [row for (vectors, mode, _), row in latest.items() if (vectors, mode) == (kind, _MODE)]:
            by_kind[kind] = runs[-1]["accuracy"][kind], runs, gains(runs, ids, "gauc")
    return by_kind


def mean_accuracy(accuracy: Mapping[str, float]) -> float:
    """Acc@1 of all modalities together, the plot's axis."""
    return statistics.fmean(accuracy.values())
