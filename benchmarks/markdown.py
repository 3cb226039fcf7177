"""Markdown tables of result rows: what a table is drawn from, the newest rows, cells."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Rows = Sequence[Mapping[str, Any]]


class ResultTable(NamedTuple):
    """A table of a document.

    results  name of the file in benchmarks/results whose rows it shows
    draw     all rows of that file, oldest first, to Markdown
    """

    results: str
    draw: Callable[[Rows], str]


def markdown_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the cells of its head, and of each line below."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *lines))


def newest(rows: Rows, *keys: str) -> list[Mapping[str, Any]]:
    """The last row of each combination of ``keys``, sorted by them."""
    latest = {tuple(row[k] for k in keys): row for row in rows}
    return [latest[k] for k in sorted(latest)]


def mib(size: int) -> str:
    """Bytes in MiB, such as 1,024 MiB."""
    return f"{size / 2**20:,.0f} MiB"
