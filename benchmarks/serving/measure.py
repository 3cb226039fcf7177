"""Measures the scorer: python -m benchmarks.serving --case speed|parity|swap|memory|faults|soak|stacks."""

from pathlib import Path

import click

from benchmarks.harness import results_option

CASES = ("speed", "parity", "swap", "memory", "faults", "soak", "stacks")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--case", type=click.Choice(CASES), required=True)
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("runs/serving"),
    show_default=True,
    help="Where the model is, or is made; it stays there. Not for parity and stacks.",
)
@click.option("--run", help="parity: the run whose scores are compared.")
@click.option("--rows", default=100_000, show_default=True, help="parity: rows of --split, at most.")
@click.option("--split", default="test", show_default=True, help="parity: of the run's data.")
@click.option(
    "--shapes",
    default="1x50,100x50,1000x50,1x1000,100x1000,1000x1000",
    show_default=True,
    help="speed: candidates x history of the requests.",
)
@click.option(
    "--contenders",
    default="ours,alone,eager,compiled,split_eager,split_compiled,folded_eager,folded_compiled,noop,parsed",
    show_default=True,
    help="speed: of these.",
)
@click.option("--processes", default=2, show_default=True, help="All but parity and stacks: of the scorer.")
@click.option("--connections", default=8, show_default=True, help="speed, stacks: of which as much as goes is asked.")
@click.option("--seconds", default=10.0, show_default=True, help="Of each measurement.")
@click.option("--repeats", default=3, show_default=True, help="speed, stacks: rounds over all contenders.")
@click.option("--swaps", default=100, show_default=True)
@click.option("--minutes", default=20.0, show_default=True, help="soak: how long.")
@click.option("--python", help="stacks: interpreter of the environment that has them; default: this one.")
@results_option("--out")
def main(case: str, folder: Path, run: str | None, rows: int, split: str, shapes: str, contenders: str, processes: int,
         connections: int, seconds: float, repeats: int, swaps: int, minutes: float, python: str | None,
         results: Path) -> None:  # fmt: skip
    """Measure the scorer on this machine. Appends rows to serving.jsonl. Needs wrk, but for parity."""
    from benchmarks.serving import faults, memory, parity, soak, speed, stacks, swap

    if case == "parity":
        parity.measure(run, split, rows, results)
    elif case == "speed":
        wanted = [(int(n), int(length)) for n, _, length in (shape.partition("x") for shape in shapes.split(","))]
        speed.measure(folder, wanted, contenders.split(","), processes, connections, seconds, repeats, results)
    elif case == "swap":
        swap.measure(folder, swaps, processes, seconds, results)
    elif case == "faults":
        faults.measure(folder, processes, seconds, results)
    elif case == "soak":
        soak.measure(folder, minutes, processes, results)
    elif case == "stacks":
        stacks.measure(python, connections, seconds, repeats, results)
    else:
        memory.measure(folder, processes, results)
