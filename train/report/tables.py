"""Text tables of a comparison: the summary, metrics by item frequency, Markdown."""

from typing import NamedTuple

from train.report.comparison import Comparison, Row, Spread
from train.report.item_frequency import by_frequency

UNDEFINED = "-"
PLUS_MINUS = "\u00b1"


class TextTable(NamedTuple):
    """Cells, all text. The first column is left-aligned, the others right."""

    header: list[str]
    cells: list[list[str]]


def summary_table(comparison: Comparison) -> TextTable:
    """One line per row: GAUC and its gain over the ID row, AUC, NE, log loss, training examples/s, best epoch, runs."""
    header = ["model", "GAUC", "gain over ID", "AUC", "NE", "log loss", "examples/s", "best epoch", "runs"]
    return TextTable(
        header,
        [
            [
                row.label,
                _number(row.metric("gauc")),
                _percent(row.gain("gauc")),
                *(_number(row.metric(key)) for key in ("auc", "ne", "log_loss")),
                _number(
                    Spread.of([r.about["examples_per_s"] for r in row.runs if r.about.get("examples_per_s")]), ",.0f"
                ),
                ", ".join(sorted({str(r.about["best_epoch"]) for r in row.runs if r.about.get("best_epoch")}))
                or UNDEFINED,
                _runs(row),
            ]
            for row in comparison.rows
        ],
    )


def as_text(comparison: Comparison) -> str:
    """The summary in Markdown, and the notes below it."""
    return "\n".join([as_markdown(summary_table(comparison)), *(f"note: {note}" for note in comparison.notes)])


def frequency_table(comparison: Comparison, key: str) -> TextTable:
    """``key`` of each row by item-frequency group, and on known and new items."""
    groups = by_frequency(comparison.rows, key)
    header = ["group", "seen in training", "impressions", *(row.label for row in comparison.rows)]
    return TextTable(
        header, [[g.name, _range(g.counts), f"{g.rows:,}", *(_number(v) for v in g.values)] for g in groups]
    )


def as_markdown(table: TextTable) -> str:
    """``table`` in Markdown, padded so that it also reads well as plain text."""
    lines = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in (table.header, *table.cells)]
    widths = [max(3, *map(len, column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (w - 1) + ":" for w in widths[1:])]

    def line(cells: list[str]) -> str:
        first, *rest = zip(cells, widths, strict=True)
        return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]) + " |"

    return "\n".join(map(line, [lines[0], rule, *lines[1:]]))


def _number(value: Spread | None, form: str = ".4f") -> str:
    if value is None:
        return UNDEFINED
    text = format(value.mean, form)
    return text if value.deviation is None else f"{text} {PLUS_MINUS} {value.deviation:{form}}"


def _percent(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:+.2f} %"


def _runs(row: Row) -> str:
    unfinished = [run.status for run in row.runs if not run.done]
    parts = [f"{unfinished.count(status)} {status}" for status in dict.fromkeys(unfinished)]
    return ", ".join([str(len(row.runs)), *parts])


def _range(counts: tuple[int, int] | None) -> str:
    return "-".join(f"{count:,}" for count in dict.fromkeys(counts)) if counts else ""
