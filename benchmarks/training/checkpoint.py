"""Share of training time that checkpoints cost: turns of training with a save beside turns without, on 1 GB of tables.

    python -m benchmarks.training.checkpoint

Both kinds of turn have the same number of steps, in the same processes. A turn with a save begins with its copy and
ends no earlier than its last file is on disk, so the row holds all of it: the copy between two steps, and the writing
beside the steps. What a save costs is what such a turn takes longer than its neighbour; of a minute, that is the share
of training time at one save a minute. Turns are short: in a minute, a machine's speed drifts by more
than a save costs.
"""

import shutil
import statistics
import sys
import tempfile

import click

from benchmarks.harness import append, measurement, run_command
from benchmarks.ranks import measure_on_ranks


@click.command()
@click.option("--ranks", default=2, show_default=True)
@click.option("--rows", default=14_000_000, show_default=True, help="Rows of the large table, of width 16.")
@click.option("--batch-size", default=4096, show_default=True, help="Rows a step and rank.")
@click.option("--steps", default=30, show_default=True, help="Steps of a turn.")
@click.option("--pairs", default=10, show_default=True, help="Turns with a save, and as many without.")
@click.option("--folder", default=None, help="Place on the disk to be measured; default: the system's temporary one.")
def main(ranks: int, rows: int, batch_size: int, steps: int, pairs: int, folder: str | None) -> None:
    """Measure the share of training time that one save a minute costs."""
    place = tempfile.mkdtemp(prefix="checkpoint-", dir=folder)
    job = {"folder": place, "rows": rows, "batch_size": batch_size, "steps": steps, "pairs": pairs}
    try:
        turns = measure_on_ranks(ranks, "benchmarks.training.checkpoint_rank", job)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    costs = [w - without for w, without in zip(turns["with"], turns["without"], strict=True)]
    cost_s = statistics.mean(costs)
    contenders = {"a turn with a save": "with", "without": "without"}
    row = append(
        "checkpoint",
        {
            "shapes": {"ranks": ranks, "rows": rows, "width": 16, "batch_size": batch_size, "steps": steps},
            "checkpoint_bytes": turns["checkpoint_bytes"],
            "copy_s": turns["copy_s"],
            "write_s": turns["write_s"],
            "contenders": {
                name: measurement([1000 * s for s in turns[key]], unit="ms") for name, key in contenders.items()
            },
            "cost_s": round(cost_s, 3),
            "cost_error_s": round(statistics.stdev(costs) / len(costs) ** 0.5, 3),
            "share": round(cost_s / 60, 4),
        },
    )
    click.echo(
        f"a save costs {row['cost_s']} +- {row['cost_error_s']} s: {100 * row['share']:.2f} % at one save a minute"
    )


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.training.checkpoint"))
