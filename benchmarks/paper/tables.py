"""Markdown tables of the paper's results beside its own figures, from rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.markdown import ResultTable, Rows, markdown_table
from benchmarks.paper import chain_rows, encoder_accuracy, published
from benchmarks.paper import figure6a as vectors
from benchmarks.paper.encoder_accuracy import MISSING
from benchmarks.paper.experiments import PRETRAINED, TABLE3
from benchmarks.paper.figures import by_epoch, frequency_gains, gains, of_data
from benchmarks.spread import Mean
from recsys.models.titles import mode_title

CURVES = {"epochs": "ID", "reset": "ID, tables reset", "alone": "MAKE alone"}
Runs = Mapping[str, Sequence[Mapping[str, Any]]]


def table3(runs: Runs) -> str:
    """One line a model: test GAUC and AUC, and their gains over ids."""
    lines, ids = [], runs.get("none", [])
    for model in TABLE3:
        trained = runs.get(model)
        if not trained:
            lines.append([mode_title(model), *[MISSING] * 2, *[""] * 5])
            continue
        cells = [Mean.of([row[k] for row in trained]).four_places() for k in ("gauc", "auc")]
        for place, metric in enumerate(("gauc", "auc")):
            known = model != "none"
            cells.append(gains(trained, ids, metric).percent() if known and ids else "")
            cells.append(f"{published.GAINS[model][place]:+.2f} %" if known else "")
        lines.append([mode_title(model), *cells, str(len(trained))])
    head = ["model", "GAUC", "AUC", "GAUC gain", "paper's", "AUC gain", "paper's", "seeds"]
    return markdown_table(head, lines)


def figure3(runs: Runs) -> str:
    """One line an epoch: validation GAUC of ids, ids with tables reset, and of MAKE alone."""
    curves = {name: by_epoch(runs.get(model, [])) for model, name in CURVES.items()}
    longest = max(map(len, curves.values()))
    paper = {"ID in the paper": published.ID_EPOCHS, "multimodal in the paper": published.MULTIMODAL_EPOCHS}
    lines = []
    for epoch in range(1, longest + 1):
        cells = [curve[epoch - 1].four_places() if epoch <= len(curve) else "" for curve in curves.values()]
        lines.append([str(epoch), *cells, *(f"{p[epoch]:.3f}" if epoch in p else "" for p in paper.values())])
    head = [name if curves[name] else f"{name} ({MISSING})" for name in curves]
    return markdown_table(["epoch", *head, *paper], lines)


def figure6b(runs: Runs) -> str:
    """One line a group of items: how often they were seen, and the models' gain in AUC over ids."""
    ids, models = runs.get("none"), [m for m in ("simtier", "simtier+make") if runs.get(m)]
    if not ids or not models:
        return f"ID and SimTier: {MISSING}."
    columns = {model: frequency_gains(runs[model], ids) for model in models}
    lines = []
    for group, (low, high, count) in enumerate(ids[0]["frequency"]):
        seen = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        changes = [of_model[group] for of_model in columns.values()]
        cells = [change.percent() if change else "undefined" for change in changes]
        paper = f"{published.FREQUENCY[group]:+.2f} %" if len(ids[0]["frequency"]) == 8 else ""
        lines.append([str(group + 1), seen, f"{count:,}", *cells, paper])
    head = ["items, rarest first", "seen in training", "test rows", *(mode_title(m) for m in models), "paper's"]
    return markdown_table(head, lines)


def figure6c(runs: Runs) -> str:
    """One line a number of epochs that MAKE was trained alone: the gain in GAUC over ids."""
    ids, lines = runs.get("none"), []
    for epoch in PRETRAINED:
        trained = runs.get(f"make@{epoch}")
        cells = [MISSING, ""]
        if trained and ids:
            gauc = Mean.of([row["gauc"] for row in trained])
            cells = [gauc.four_places(), gains(trained, ids, "gauc").percent()]
        lines.append([str(epoch), *cells, f"{published.PRETRAINING[epoch]:+.2f} %"])
    return markdown_table(["epochs of MAKE alone", "GAUC", "GAUC gain", "paper's"], lines)


def figure6a(rows: Rows) -> str:
    """One line a kind of encoders: how often they find what was bought, and the gain in GAUC of their vectors."""
    lines = []
    for kind, (accuracy, trained, gain) in vectors.points(rows).items():
        at_one = [f"{accuracy[modality]:.3f}" for modality in ("image", "text")]
        gauc = Mean.of([row["gauc"] for row in trained])
        lines.append([vectors.NAMES[kind], *at_one, gauc.four_places(), gain.percent(), str(len(trained))])
    return markdown_table(["encoders", "Acc@1, photos", "Acc@1, words", "GAUC", "GAUC gain", "seeds"], lines)


BY_TARGET: dict[str, Callable[[Runs], str]] = {"table3": table3, "fig3": figure3, "fig6b": figure6b, "fig6c": figure6c}
_SHOWN = {
    "table3": TABLE3,
    "fig3": tuple(CURVES),
    "fig6b": ("simtier", "simtier+make"),
    "fig6c": tuple(f"make@{epoch}" for epoch in PRETRAINED),
}


def document_table(target: str, data: str, brief: bool = False) -> Callable[[Rows], str]:
    """What draws ``target`` for ``data`` from all rows: its table, and its plot once there is something in it.

    Args:
        brief: without the plot, and without lines of what is not trained.
    """

    def draw(rows: Rows) -> str:
        runs = of_data(rows, data)
        if brief:
            return "\n".join(line for line in BY_TARGET[target](runs).splitlines() if MISSING not in line)
        shown = set(runs) & set(_SHOWN[target])
        return BY_TARGET[target](runs) + (f"\n\n![{data}, {target}](figures/{data}-{target}.svg)\n" if shown else "")

    return draw


def document_table_6a(rows: Rows) -> str:
    """Figure 6a's table and its plot, from the chain's rows."""
    return f"{figure6a(rows)}\n\n![shop, fig6a](figures/shop-fig6a.svg)\n" if vectors.points(rows) else MISSING


PAPER_DATA = ("shop", "microlens", "microlens-one-epoch")  # configs whose runs docs/paper.md shows
TABLES = {
    "shop": ResultTable("paper", document_table("table3", "shop", brief=True)),
    "microlens": ResultTable("paper", document_table("table3", "microlens", brief=True)),
    "chain": ResultTable(chain_rows.RESULTS, lambda rows: chain_rows.chain(chain_rows.of_size(rows))),
    "grocery_table2": ResultTable("paper", encoder_accuracy.document_table("grocery")),
    "shop_fig6a": ResultTable(chain_rows.RESULTS, document_table_6a),
    **{f"{d}_{t}": ResultTable("paper", document_table(t, d)) for d in PAPER_DATA for t in BY_TARGET},
}
