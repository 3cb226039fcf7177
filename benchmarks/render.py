"""Rewrites the tables of README.md and docs/*.md from the rows in benchmarks/results.

    python -m benchmarks.render [--check]

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``, in any of these documents. Where rows were
measured again, the newest count.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import click

from benchmarks import ROOT
from benchmarks.data import tables as data
from benchmarks.frozen import tables as frozen
from benchmarks.harness import read, run_command
from benchmarks.kernels import tables as kernels
from benchmarks.live import tables as live
from benchmarks.markdown import ResultTable, Rows
from benchmarks.paper import tables as paper
from benchmarks.peers.fuxictr import tables as fuxictr
from benchmarks.planner import tables as planner
from benchmarks.serving import tables as serving
from benchmarks.training import tables as training
from embeddings.errors import InputError, nearest

TABLES: dict[str, ResultTable] = {
    name: table
    for area in (training, fuxictr, data, kernels, frozen, planner, paper, serving, live)
    for name, table in area.TABLES.items()
}
_MARKER = re.compile(r"<!-- table: (?P<name>[\w-]+) -->\n")
_END = "<!-- end -->"


def documents(root: Path = ROOT) -> list[Path]:
    """The documents that may hold tables: README.md and docs/*.md below ``root``."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def render(text: str, rows_of: Callable[[str], Rows]) -> str:
    """``text`` with every marked table written anew.

    Args:
        rows_of: the rows of a results file, by its name, oldest first.

    Raises InputError for a table that nobody knows, and for a marker without its end.
    """
    before, *parts = _MARKER.split(text)  # text, then by turns the name of a table and the text from there on
    written = [before]
    for name, part in zip(parts[::2], parts[1::2], strict=True):
        if name not in TABLES:
            raise InputError(f"table '{name}' is unknown{nearest(name, TABLES)}; allowed: {', '.join(TABLES)}")
        _, end, rest = part.partition(_END)
        if not end:
            raise InputError(f"table '{name}' has no end; write {_END} behind it")
        rows = rows_of(TABLES[name].results)
        body = TABLES[name].draw(rows) if rows else "Not measured yet."
        written.append(f"<!-- table: {name} -->\n{body}\n{end}{rest}")
    return "".join(written)


def rewrite(check: bool = False, root: Path = ROOT) -> list[str]:
    """Write the documents' tables anew, or only look; the names of documents that were stale. Raises InputError."""
    stale = []
    for document in documents(root):
        old, name = document.read_text(), str(document.relative_to(root))
        try:
            new = render(old, read)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        if new != old:
            stale.append(name)
            if not check:
                document.write_text(new)
    return stale


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--check", is_flag=True, help="Write nothing; exit with status 1 where a document is stale.")
def main(check: bool) -> int:
    """Rewrite the tables of README.md and docs/*.md from the rows in benchmarks/results."""
    stale = rewrite(check)
    if check and stale:
        print(f"stale: {', '.join(stale)}; run 'python -m benchmarks.render'", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.render"))
