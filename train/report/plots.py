"""Plots of a comparison: training curves, gain by item frequency, reliability. No pyplot, no global state."""

import io
import math
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from train.report.comparison import Comparison, Row
from train.report.item_frequency import FrequencyGroup, by_frequency
from train.report.plot_style import STYLE, bar_style, escape_label, legend, line_style, short_count

_MOST_POINTS = 300


class Plot(NamedTuple):
    """One picture: its name, heading, what to know in order to read it, and its bytes."""

    name: str
    title: str
    caption: str
    image: bytes


def draw_plots(comparison: Comparison, form: str = "svg") -> list[Plot]:
    """Every plot that the runs have data for, as ``form`` svg or png."""
    drawings = (
        ("curves", "Training", _curves),
        ("frequency", "Item frequency", _frequency),
        ("reliability", "Reliability", _reliability),
    )
    drawn = []
    with matplotlib.rc_context(STYLE):
        for name, title, draw in drawings:
            figure = Figure(layout="constrained")
            caption = draw(figure, comparison)
            if caption:
                legend(figure)
                image = io.BytesIO()
                figure.savefig(image, format=form, dpi=120, metadata={"Date": None} if form == "svg" else None)
                drawn.append(Plot(name, title, caption, image.getvalue()))
    return drawn


def _curves(figure: Figure, comparison: Comparison) -> str | None:
    """Training loss and NE, and GAUC on the validation split, of each run."""
    if not any(run.training or run.validations for run in comparison.runs):
        return None
    figure.set_size_inches(11, 3.4)
    loss, ne, gauc = figure.subplots(1, 3)
    loss.set(title="Training loss", xlabel="step", ylabel="log loss (nats)")
    ne.set(title="Training NE", xlabel="step", ylabel="normalised entropy")
    gauc.set(title="Validation GAUC", xlabel="epoch", ylabel="GAUC")
    for axes in (loss, ne, gauc):
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    for row in comparison.rows:
        style = {"label": escape_label(row.label), "linewidth": 1.2, **line_style(comparison, row)}
        for run in row.runs:
            _line(loss, run.training, "step", "loss", style)
            _line(ne, run.training, "step", "ne", style)
            _line(gauc, run.validations, "epoch", "gauc", style | {"marker": "o", "markersize": 4})
    return (
        "One line per run; runs that differ only in seed share a colour. "
        "Loss and NE are means over the steps between two log rows."
    )


def _line(axes: Axes, points: list[dict[str, Any]], x: str, y: str, style: dict[str, Any]) -> None:
    finite = [(p[x], p[y]) for p in points if _finite(p.get(x)) and _finite(p.get(y))]
    if finite:
        axes.plot(*zip(*_downsample(finite), strict=True), **style)


def _frequency(figure: Figure, comparison: Comparison) -> str | None:
    """AUC gain over the ID row by item frequency; AUC itself where there is no ID row to compare with."""
    groups = by_frequency(comparison.rows, "auc")
    against_id = [
        row
        for row in comparison.rows
        if row.evaluations and row.baseline not in (None, row) and row.baseline.evaluations
    ]
    shown = against_id or comparison.rows
    bars = {row.label: _bars(row, comparison.rows, groups, relative=bool(against_id)) for row in shown}
    if not any(bars.values()):
        return None
    figure.set_size_inches(11, 3.8)
    axes = figure.subplots()
    places = [k + (0.0 if g.counts else 0.5) for k, g in enumerate(groups)]  # a gap before known and new
    width = 0.8 / len(shown)
    for number, row in enumerate(shown):
        for k, height, error in bars[row.label]:
            at = places[k] + (number - (len(shown) - 1) / 2) * width
            axes.bar(at, height, 0.92 * width, label=escape_label(row.label), **bar_style(comparison, row))
            if error:
                axes.errorbar(at, height, error, fmt="none", ecolor="#555555", elinewidth=1, capsize=2)
    axes.set_xticks(places, [_tick(group) for group in groups])
    axes.set_xlabel("items by how often they were seen in training, rarest first; then all known and all new items")
    axes.grid(False, axis="x")
    axes.axhline(0, color="#888888", linewidth=0.8)
    if against_id:
        axes.set(title="AUC gain over ID by item frequency", ylabel="AUC gain (%)")
        compared = "Relative to the AUC of the ID row on the same impressions"
    else:
        axes.set(title="AUC by item frequency", ylabel="AUC")
        axes.set_ylim(bottom=_axis_floor([height for row_bars in bars.values() for _, height, _ in row_bars]))
        compared = "AUC itself, because there is nothing to compare with an ID row"
    return f"{compared}. Whiskers: standard deviation over seeds. New items were never seen in training."


def _tick(group: FrequencyGroup) -> str:
    if group.counts is None:
        return f"{group.name} items\n \n{short_count(group.rows)} rows"
    counts = "-".join(dict.fromkeys(map(short_count, group.counts)))
    return f"group {group.name}\nseen {counts}\n{short_count(group.rows)} rows"


def _bars(
    row: Row, rows: list[Row], groups: list[FrequencyGroup], relative: bool
) -> list[tuple[int, float, float | None]]:
    """(group, height, whisker) of each bar that is defined."""
    bars = []
    for k, group in enumerate(groups):
        value = group.values[rows.index(row)]
        if value is None:
            continue
        if not relative:
            bars.append((k, value.mean, value.deviation))
        elif row.baseline and (base := group.values[rows.index(row.baseline)]) and base.mean:
            percent = 100.0 / base.mean
            bars.append((k, percent * value.mean - 100.0, value.deviation and percent * value.deviation))
    return bars


def _axis_floor(heights: list[float]) -> float:
    """Where an axis of AUCs begins: at 0.5, or a round number below the lowest."""
    return min(0.5, math.floor(20 * min(heights)) / 20)


def _reliability(figure: Figure, comparison: Comparison) -> str | None:
    """Mean prediction against the share of positives, with the diagonal."""
    points = {
        row.label: [
            [(b["mean_prediction"], b["base_rate"]) for b in e.get("reliability") or []] for e in row.evaluations
        ]
        for row in comparison.rows
    }
    largest = max(
        (value for lines in points.values() for line in lines for point in line for value in point), default=0
    )
    if not largest:
        return None
    figure.set_size_inches(6, 5.2)
    axes = figure.subplots()
    for row in comparison.rows:
        for line in filter(None, points[row.label]):
            style: dict[str, Any] = {"label": escape_label(row.label), "linewidth": 1, "marker": "o", "markersize": 3.5}
            axes.plot(*zip(*line, strict=True), **style, **line_style(comparison, row))
    end = min(1.0, 1.05 * largest)
    axes.plot([0, end], [0, end], color="#999999", linewidth=0.8, linestyle="--", label="calibrated", zorder=0)
    axes.set(title="Reliability", xlabel="mean prediction", ylabel="share of positives", xlim=(0, end), ylim=(0, end))
    axes.set_aspect("equal")
    return (
        "Each point is a bin of about equally many impressions. "
        "Below the diagonal the model predicts too much, above it too little."
    )


def _downsample(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most _MOST_POINTS points: means of neighbours, which show the level where picking would show the noise."""
    size = math.ceil(len(points) / _MOST_POINTS)
    blocks = [points[k : k + size] for k in range(0, len(points), size)]
    return [(sum(x for x, _ in b) / len(b), sum(y for _, y in b) / len(b)) for b in blocks]


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
