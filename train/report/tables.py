"""Rows of a comparison as text: the summary, the metrics by item frequency, and Markdown."""

from typing import NamedTuple

from train.report.comparison import Comparison, Row, Spread
from train.report.item_frequency import by_frequency

NOTHING = "-"
PLUS_MINUS = "\u00b1"


class Table(NamedTuple):
    """Cells, all text. The first column is left-aligned, the others right."""

    header: list[str]
    cells: list[list[str]]


def summary(comparison: Comparison) -> Table:
    """One line per row: GAUC and its gain over the ID row, AUC, NE, log loss, training examples/s, best epoch, runs."""
    header = ["model", "GAUC", "gain over ID", "AUC", "NE", "log loss", "examples/s", "best epoch", "runs"]
    return Table(
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
                or NOTHING,
                _runs(row),
            ]
            for row in comparison.rows
        ],
    )


def as_text(comparison: Comparison) -> str:
    """The summary in Markdown, and the notes below it."""
    return "\n".join([as_markdown(summary(comparison)), *(f"note: {note}" for note in comparison.notes)])


def frequency_table(comparison: Comparison, key: str) -> Table:
    """``key`` of each row by item-frequency group, and on known and new items."""
    columns = by_frequency(comparison.rows, key)
    header = ["group", "seen in training", "impressions", *(row.label for row in comparison.rows)]
    return Table(header, [[c.name, _range(c.counts), f"{c.rows:,}", *(_number(v) for v in c.values)] for c in columns])


def as_markdown(table: Table) -> str:
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
        return NOTHING
    text = format(value.mean, form)
    return text if value.deviation is None else f"{text} {PLUS_MINUS} {value.deviation:{form}}"


def _percent(value: float | None) -> str:
    return NOTHING if value is None else f"{value:+.2f} %"


def _runs(row: Row) -> str:
    unfinished = [run.status for run in row.runs if not run.done]
    parts = [f"{unfinished.count(status)} {status}" for status in dict.fromkeys(unfinished)]
    return ", ".join([str(len(row.runs)), *parts])


def _range(counts: tuple[int, int] | None) -> str:
    return "-".join(f"{count:,}" for count in dict.fromkeys(counts)) if counts else ""
