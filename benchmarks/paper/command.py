"""The command line of the paper's tables and figures: python -m benchmarks.paper all --data shop."""

import os
from pathlib import Path
from typing import Any

import click

from benchmarks.paper.experiments import TARGETS

PAIRS_TARGET = "table2"  # of pairs; the others are of CTR rows


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("target", type=click.Choice([PAIRS_TARGET, *TARGETS, "fig6a", "all"]))
@click.option("--data", help="A shipped config's name, such as shop, microlens or grocery.")
@click.option(
    "--config",
    help="Any other config, CTR ones for two ranks as the shipped ones are; its file name is the data's name.",
)
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1), help="Seeds 0 to N - 1.")
@click.option("--epochs", default=6, show_default=True, type=click.IntRange(1), help="Of the curves of fig3.")
@click.option("--jobs", type=click.IntRange(1), help="Runs at once.  [default: the cores]")
@click.option("--root", default="runs/paper", show_default=True, help="Where runs are kept.")
@click.option("--out", help="Folder for rows, page and plots, instead of benchmarks/results and docs.")
@click.argument("overrides", nargs=-1, metavar="[KEY.SUB=VALUE]...")
def main(
    target: str,
    data: str | None,
    config: str | None,
    seeds: int,
    epochs: int,
    jobs: int | None,
    root: str,
    out: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Train what TARGET needs and is not there yet; write rows, a table beside the paper's figures, and a plot.

    table2 is of encoders, on the data of an SCL config such as grocery; the others, and all of them together, of a CTR
    config such as shop.

    Runs that are done are not trained again, those that were interrupted go on. Epochs, and which of MAKE's epochs the
    CTR model takes, are chosen on the validation split; figures are of the test split, fig3's of validation.
    """
    if (data is None) == (config is None):
        raise click.UsageError("name the data, either by --data or by --config")
    shared: dict[str, Any] = {"seeds": seeds, "root": root, "out": Path(out) if out else None, "overrides": overrides}
    if target == "fig6a" and data != "shop":
        raise click.UsageError("fig6a is measured on the generated market, whose users search: --data shop")
    if target == "fig6a" or (target == "all" and data == "shop"):
        from benchmarks.paper.reproduce import reproduce6a

        reproduce6a(**shared)
    if target == "fig6a":
        return
    path = config or f"configs/{data}.yaml"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    at_once = jobs or cores
    shared |= {"at_once": at_once, "threads": max(1, cores // at_once)}
    if target == PAIRS_TARGET:
        from benchmarks.paper import table2

        table2.reproduce(path, **shared)
        return
    from benchmarks.paper.reproduce import reproduce

    reproduce(list(TARGETS) if target == "all" else [target], path, epochs=epochs, **shared)
