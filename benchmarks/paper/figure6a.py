"""Figure 6a: how well encoders find what was bought, and what their vectors then give to a CTR model.

The encoders are those of ``benchmarks.paper.chain``, stopped after so many epochs.
"""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.paper.chain import DATA, ROWS, SEARCHES, VECTORS, Chain
from benchmarks.paper.figures import Mean, gains

STOPPED = {f"scl-{n}": (f"train.epochs={n}",) for n in (1, 2, 4)}
LEARNT = {"untrained": VECTORS["untrained"], **STOPPED, "scl": VECTORS["scl"]}
NAMES = {
    "untrained": "untrained",
    "scl-1": "1 epoch",
    "scl-2": "2 epochs",
    "scl-4": "4 epochs",
    "scl": "all epochs",
}
RESULTS = "chain"
_MODE = "simtier"
_RANKS = 2  # the shipped configs' batch sizes are for so many

Rows = Sequence[Mapping[str, Any]]


def train(root: str, seeds: int, overrides: tuple[str, ...]) -> list[dict[str, Any]]:
    """Everything that is not there yet; one row a CTR model and seed. Raises InputError."""
    chain = Chain(Path(DATA), Path(root) / "chain", _RANKS, overrides, LEARNT, (_MODE,), "fig6a.json")
    return chain.whole(ROWS, SEARCHES, 0, seeds)


def points(rows: Rows) -> dict[str, tuple[dict[str, float], Rows, Mean]]:
    """Kind of vectors -> Acc@1 by modality, the CTR models' rows, their gain in GAUC over ids in percent."""
    latest = {key_of(row): row for row in of_size(rows)}
    ids = [row for (vectors, *_), row in latest.items() if vectors == "none"]
    found = {}
    for kind in LEARNT:
        if own := [row for (vectors, mode, _), row in latest.items() if (vectors, mode) == (kind, _MODE)]:
            found[kind] = own[-1]["accuracy"][kind], own, gains(own, ids, "gauc")
    return found


def of_size(rows: Rows) -> list[Mapping[str, Any]]:
    """Those of a market of the size that the pages speak of."""
    return [row for row in rows if (row["shapes"]["rows"], row["shapes"]["searches"]) == (ROWS, SEARCHES)]


def middle(accuracy: Mapping[str, float]) -> float:
    """Acc@1 of all modalities together, the plot's axis."""
    return statistics.fmean(accuracy.values())


def key_of(row: Mapping[str, Any]) -> tuple:
    """What tells one CTR model of the chain from another."""
    return row["vectors"], row["mode"], row["seed"]
