"""Plot style: colours, line and hatch styles, legend, numbers on axes."""

from typing import Any

from matplotlib.figure import Figure

from train.report.comparison import Comparison, Row

# Okabe and Ito's palette, which colour-blind readers can tell apart; rows beyond it get another line and hatch.
COLOURS = ("#000000", "#E69F00", "#0072B2", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
_LINES = ("-", "--", ":", "-.")
_HATCHES = (None, "///", "...", "xxx")

STYLE = {
    "font.size": 9,
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.unicode_minus": False,
    "figure.facecolor": "white",
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "svg.hashsalt": "tierwise",  # the same runs give the same file
}


def line_style(comparison: Comparison, row: Row) -> dict[str, Any]:
    """Colour and line of ``row``, the same in every plot."""
    place = _place(comparison, row)
    return {"color": COLOURS[place % len(COLOURS)], "linestyle": _LINES[place // len(COLOURS) % len(_LINES)]}


def bar_style(comparison: Comparison, row: Row) -> dict[str, Any]:
    """Colour and hatch of ``row``'s bars."""
    place = _place(comparison, row)
    hatch = _HATCHES[place // len(COLOURS) % len(_HATCHES)]
    return {"color": COLOURS[place % len(COLOURS)], "hatch": hatch, "edgecolor": "white"}


def _place(comparison: Comparison, row: Row) -> int:
    """Where ``row`` stands among the colours. Black, the first, is for ID rows: without one it is left out."""
    return comparison.rows.index(row) + (comparison.rows[0].baseline is not comparison.rows[0])


def legend(figure: Figure) -> None:
    """One legend above all panels, each label once; the figure grows by its height."""
    handles: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    characters = int(figure.get_figwidth() * 14)
    columns = max(1, min(len(handles), characters // (max(map(len, handles)) + 7)))
    figure.set_figheight(figure.get_figheight() + 0.2 * -(-len(handles) // columns))
    figure.legend(list(handles.values()), list(handles), loc="outside upper left", ncols=columns)


def escape_label(label: str) -> str:
    """``label`` without what matplotlib would read as mathematics ($) or as hidden (a leading underscore)."""
    return label.replace("$", r"\$").lstrip("_")


def short_count(count: int) -> str:
    """12345 as 12.3k; below 10,000 exact."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= max(size, 1e4):
            return f"{count / size:.1f}{unit}"
    return f"{count:,}"
