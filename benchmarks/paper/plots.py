"""Plots of the paper's figures from rows: ours on the left, the paper's figures on the right."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from benchmarks.markdown import Rows
from benchmarks.paper import figure6a as vectors
from benchmarks.paper import published
from benchmarks.paper.experiments import PRETRAINED, TABLE3
from benchmarks.paper.figures import by_epoch, frequency_gains, gains
from benchmarks.paper.tables import CURVES, Runs
from benchmarks.spread import Mean
from recsys.models.titles import mode_title
from train.report.plot_style import COLOURS, STYLE

_FORM = {"svg.fonttype": "none"}  # text as text: a tenth of the bytes


def plot(target: str, runs: Runs | Rows) -> bytes:
    """The plot of ``target`` as SVG; the same runs give the same bytes. Figure 6a's are rows of the chain."""
    with matplotlib.rc_context({**STYLE, **_FORM}):
        figure = Figure(figsize=(8.4, 3.1), layout="constrained")
        here, paper = figure.subplots(1, 2)
        here.set_title("here, mean and spread over seeds")
        paper.set_title("in the paper")
        _DRAW[target](here, paper, runs)
        image = io.BytesIO()
        figure.savefig(image, format="svg", metadata={"Date": None})
    return image.getvalue()


def _bars(axes: Axes, labels: list[str], values: list[Mean | None], colours: Sequence[str]) -> None:
    for at, value in enumerate(values):
        if value is not None:
            error = value.deviation if value.seeds > 1 else None
            axes.bar(at, value.mean, 0.7, yerr=error, color=colours[at], ecolor="#555555", capsize=2)
    axes.set_xticks(range(len(labels)), labels)
    axes.grid(False, axis="x")
    axes.axhline(0, color="#888888", linewidth=0.8)


def _curve(axes: Axes, at: Sequence[float], values: list[Mean], label: str, colour: str) -> None:
    means, spreads = [v.mean for v in values], [v.deviation for v in values]
    axes.plot(at, means, label=label, color=colour, marker="o", markersize=3.5, linewidth=1.3)
    low, high = ([m + sign * d for m, d in zip(means, spreads, strict=True)] for sign in (-1, 1))
    axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)


def _table3(here: Axes, paper: Axes, runs: Runs) -> None:
    models = [m for m in TABLE3 if m != "none"]
    labels = [mode_title(m).removeprefix("ID + ").replace(" + ", "\n+ ") for m in models]
    changes = [gains(runs[m], runs["none"], "gauc") if runs.get(m) and runs.get("none") else None for m in models]
    colours = COLOURS[1 : len(models) + 1]
    _bars(here, labels, changes, colours)
    _bars(paper, labels, [Mean(published.GAINS[m][0], 0.0, 1) for m in models], colours)
    here.set_ylabel("gain in GAUC over ID (%)")


def _figure3(here: Axes, paper: Axes, runs: Runs) -> None:
    for colour, (model, name) in zip(COLOURS, CURVES.items(), strict=False):
        values = by_epoch(runs.get(model, []))
        if values:
            _curve(here, list(range(1, len(values) + 1)), values, name, colour)
    known = {"ID": published.ID_EPOCHS, "multimodal only": published.MULTIMODAL_EPOCHS}
    for colour, (name, points) in zip((COLOURS[0], COLOURS[2]), known.items(), strict=True):
        paper.plot(list(points), list(points.values()), label=name, color=colour, marker="o", markersize=3.5)
    for axes in (here, paper):
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("epoch")
        if axes.lines:
            axes.legend()
    here.set_ylabel("GAUC, validation")


def _figure6a(here: Axes, paper: Axes, rows: Rows) -> None:
    points = vectors.points(rows).values()
    if points:
        at, values = [vectors.mean_accuracy(accuracy) for accuracy, *_ in points], [gain for *_, gain in points]
        _curve(here, at, values, mode_title("simtier"), COLOURS[2])
    paper.plot(list(published.QUALITY), list(published.QUALITY.values()), color=COLOURS[2], marker="o")
    here.set_xlabel("Acc@1, mean of photos and words")
    paper.set_xlabel("Acc@1")
    here.set_ylabel("gain in GAUC over ID (%)")


def _figure6b(here: Axes, paper: Axes, runs: Runs) -> None:
    ids = runs.get("none")
    model = next((m for m in ("simtier+make", "simtier") if runs.get(m)), None)
    if ids and model:
        changes = frequency_gains(runs[model], ids)
        labels = [f"{low}" if low == high else f"{low}-\n{high}" for low, high, _ in ids[0]["frequency"]]
        _bars(here, labels, changes, [COLOURS[2]] * len(changes))
        here.set_title(f"here, {mode_title(model)}")
        here.tick_params(axis="x", labelsize=7)
    groups = [str(k + 1) for k in range(len(published.FREQUENCY))]
    _bars(paper, groups, [Mean(v, 0.0, 1) for v in published.FREQUENCY], [COLOURS[2]] * len(groups))
    here.set(xlabel="items by how often they were seen in training", ylabel="gain in AUC over ID (%)")
    paper.set_xlabel("groups of items, rarest first")


def _figure6c(here: Axes, paper: Axes, runs: Runs) -> None:
    there = [e for e in PRETRAINED if runs.get(f"make@{e}") and runs.get("none")]
    if there:
        values = [gains(runs[f"make@{e}"], runs["none"], "gauc") for e in there]
        _curve(here, there, values, mode_title("make"), COLOURS[2])
    paper.plot(list(published.PRETRAINING), list(published.PRETRAINING.values()), color=COLOURS[2], marker="o")
    for axes in (here, paper):
        axes.set_xlabel("epochs that MAKE was trained alone")
    here.set_ylabel("gain in GAUC over ID (%)")


_DRAW: dict[str, Callable[[Axes, Axes, Any], None]] = {
    "table3": _table3,
    "fig3": _figure3,
    "fig6a": _figure6a,
    "fig6b": _figure6b,
    "fig6c": _figure6c,
}
