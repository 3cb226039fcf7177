"""Measures what is live: python -m benchmarks.live --case index."""

from pathlib import Path

import click

from benchmarks.harness import results_option
from benchmarks.live import index


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--case", type=click.Choice(["index"]), required=True)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("runs/live"),
    show_default=True,
    help="Where the index is made, anew.",
)
@click.option("--ids", default=1_000_000, show_default=True)
@click.option("--width", default=128, show_default=True)
@click.option("--rate", default=10_000, show_default=True, help="Vectors that are written in a second.")
@click.option("--readers", default=2, show_default=True, help="Processes that look up meanwhile.")
@click.option("--seconds", default=5.0, show_default=True, help="Of each measurement.")
@click.option("--repeats", default=3, show_default=True, help="Rounds over all contenders.")
@results_option("--out")
def main(
    case: str, folder: Path, ids: int, width: int, rate: int, readers: int, seconds: float, repeats: int, results: Path
) -> None:
    """Measure the live index on this machine. Appends rows to live.jsonl."""
    assert case == "index"
    index.measure(folder, ids, width, rate, readers, seconds, repeats, results)
