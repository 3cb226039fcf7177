"""Markdown tables of the paper's results beside its own figures, from rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.paper import figure6a as vectors
from benchmarks.paper import published
from benchmarks.paper.experiments import PRETRAINED, TABLE3
from benchmarks.paper.figures import Mean, Rows, by_epoch, frequency_gains, gains, of_data

NAMES = {
    "none": "ID",
    "vector": "ID + Vector",
    "simscore": "ID + SimScore",
    "simtier": "ID + SimTier",
    "make": "ID + MAKE",
    "simtier+make": "ID + SimTier + MAKE",
}
CURVES = {"epochs": "ID", "reset": "ID, tables reset", "alone": "MAKE alone"}
MISSING = "not trained yet"
Runs = Mapping[str, Sequence[Mapping[str, Any]]]


def table3(runs: Runs) -> str:
    """One line a model: test GAUC and AUC, and their gains over ids."""
    lines, ids = [], runs.get("none", [])
    for model in TABLE3:
        own = runs.get(model)
        if not own:
            lines.append([NAMES[model], *[MISSING] * 2, *[""] * 5])
            continue
        cells = [four(Mean.of([row[k] for row in own])) for k in ("gauc", "auc")]
        for place, metric in enumerate(("gauc", "auc")):
            known = model != "none"
            cells.append(_percent(gains(own, ids, metric)) if known and ids else "")
            cells.append(f"{published.GAINS[model][place]:+.2f} %" if known else "")
        lines.append([NAMES[model], *cells, str(len(own))])
    head = ["model", "GAUC", "AUC", "GAUC gain", "paper's", "AUC gain", "paper's", "seeds"]
    return markdown(head, lines)


def figure3(runs: Runs) -> str:
    """One line an epoch: validation GAUC of ids, ids with tables reset, and of MAKE alone."""
    curves = {name: by_epoch(runs.get(model, [])) for model, name in CURVES.items()}
    longest = max(map(len, curves.values()))
    paper = {"ID in the paper": published.ID_EPOCHS, "multimodal in the paper": published.MULTIMODAL_EPOCHS}
    lines = []
    for epoch in range(1, longest + 1):
        cells = [four(curve[epoch - 1]) if epoch <= len(curve) else "" for curve in curves.values()]
        lines.append([str(epoch), *cells, *(f"{p[epoch]:.3f}" if epoch in p else "" for p in paper.values())])
    head = [name if curves[name] else f"{name} ({MISSING})" for name in curves]
    return markdown(["epoch", *head, *paper], lines)


def figure6b(runs: Runs) -> str:
    """One line a group of items: how often they were seen, and the models' gain in AUC over ids."""
    ids, models = runs.get("none"), [m for m in ("simtier", "simtier+make") if runs.get(m)]
    if not ids or not models:
        return f"ID and SimTier: {MISSING}."
    columns = {model: frequency_gains(runs[model], ids) for model in models}
    lines = []
    for group, (low, high, count) in enumerate(ids[0]["frequency"]):
        seen = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        cells = [_percent(found[group]) if found[group] else "undefined" for found in columns.values()]
        paper = f"{published.FREQUENCY[group]:+.2f} %" if len(ids[0]["frequency"]) == 8 else ""
        lines.append([str(group + 1), seen, f"{count:,}", *cells, paper])
    head = ["items, rarest first", "seen in training", "test rows", *(NAMES[m] for m in models), "paper's"]
    return markdown(head, lines)


def figure6c(runs: Runs) -> str:
    """One line a number of epochs that MAKE was trained alone: the gain in GAUC over ids."""
    ids, lines = runs.get("none"), []
    for epoch in PRETRAINED:
        own = runs.get(f"make@{epoch}")
        cells = [four(Mean.of([r["gauc"] for r in own])), _percent(gains(own, ids, "gauc"))] if own and ids else None
        lines.append([str(epoch), *(cells or [MISSING, ""]), f"{published.PRETRAINING[epoch]:+.2f} %"])
    return markdown(["epochs of MAKE alone", "GAUC", "GAUC gain", "paper's"], lines)


def figure6a(rows: Rows) -> str:
    """One line a kind of encoders: how often they find what was bought, and the gain in GAUC of their vectors."""
    lines = []
    for kind, (accuracy, own, gain) in vectors.points(rows).items():
        found = [f"{accuracy[modality]:.3f}" for modality in ("image", "text")]
        lines.append(
            [vectors.NAMES[kind], *found, four(Mean.of([r["gauc"] for r in own])), _percent(gain), str(len(own))]
        )
    return markdown(["encoders", "Acc@1, photos", "Acc@1, words", "GAUC", "GAUC gain", "seeds"], lines)


DRAWN: dict[str, Callable[[Runs], str]] = {"table3": table3, "fig3": figure3, "fig6b": figure6b, "fig6c": figure6c}


_SHOWN = {
    "table3": TABLE3,
    "fig3": tuple(CURVES),
    "fig6b": ("simtier", "simtier+make"),
    "fig6c": tuple(f"make@{epoch}" for epoch in PRETRAINED),
}


def drawn(target: str, data: str, brief: bool = False) -> Callable[[Rows], str]:
    """What draws ``target`` for ``data`` from all rows: its table, and its plot once there is something in it.

    Args:
        brief: without the plot, and without lines of what is not trained.
    """

    def draw(rows: Rows) -> str:
        runs = of_data(rows, data)
        if brief:
            return "\n".join(line for line in DRAWN[target](runs).splitlines() if MISSING not in line)
        shown = set(runs) & set(_SHOWN[target])
        return DRAWN[target](runs) + (f"\n\n![{data}, {target}](figures/{data}-{target}.svg)\n" if shown else "")

    return draw


def drawn6a(rows: Rows) -> str:
    """Figure 6a's table and its plot, from the chain's rows."""
    return f"{figure6a(rows)}\n\n![shop, fig6a](figures/shop-fig6a.svg)\n" if vectors.points(rows) else MISSING


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *lines))


def four(value: Mean) -> str:
    """Mean, and deviation where there are several seeds, to four places."""
    return f"{value.mean:.4f}" + (f" +- {value.deviation:.4f}" if value.seeds > 1 else "")


def _percent(value: Mean) -> str:
    return f"{value.mean:+.2f} %" + (f" +- {value.deviation:.2f}" if value.seeds > 1 else "")
