"""What checkpoints cost: turns of training with a save beside turns without, on tables of about 1 GB.

    python -m benchmarks.training.checkpoint

Both kinds of turn have the same number of steps, in the same processes. A turn with a save begins with its copy and
ends no earlier than its last file is on disk, so the row holds all of it: the copy between two steps, and the writing
beside the steps. What a save costs is what such a turn takes longer than its neighbour; of a minute, that is the share
of training time at one save a minute. Turns are short: in a minute, a machine's speed drifts by more
than a save costs.
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from benchmarks.harness import append, measurement, run_command

ROOT = Path(__file__).resolve().parents[2]


@click.command()
@click.option("--ranks", default=2, show_default=True)
@click.option("--rows", default=14_000_000, show_default=True, help="Rows of the large table, of width 16.")
@click.option("--batch-size", default=4096, show_default=True, help="Rows a step and rank.")
@click.option("--steps", default=30, show_default=True, help="Steps of a turn.")
@click.option("--pairs", default=10, show_default=True, help="Turns with a save, and as many without.")
@click.option("--folder", default=None, help="Place on the disk to be measured; default: the system's temporary one.")
def command(ranks: int, rows: int, batch_size: int, steps: int, pairs: int, folder: str | None) -> None:
    """Measure the share of training time that one save a minute costs."""
    place = Path(tempfile.mkdtemp(prefix="checkpoint-", dir=folder))
    try:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        shared = {"WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        arguments = [place, rows, batch_size, steps, pairs]
        processes = []
        for rank in range(ranks):
            variables = {k: str(v) for k, v in {**shared, "RANK": rank, "LOCAL_RANK": rank}.items()}
            whole = [sys.executable, "-m", "benchmarks.training.checkpoint_rank", *map(str, arguments)]
            processes.append(subprocess.Popen(whole, cwd=ROOT, env={**os.environ, **variables}))
        if any([p.wait() for p in processes]):
            raise click.ClickException("a rank failed; its words are above")
        found = json.loads((place / "found.json").read_text())
    finally:
        shutil.rmtree(place, ignore_errors=True)
    costs = [w - without for w, without in zip(found["with"], found["without"], strict=True)]
    cost_s = statistics.mean(costs)
    turns = {"a turn with a save": "with", "without": "without"}
    row = append(
        "checkpoint",
        {
            "shapes": {"ranks": ranks, "rows": rows, "width": 16, "batch_size": batch_size, "steps": steps},
            "checkpoint_bytes": found["checkpoint_bytes"],
            "copy_s": found["copy_s"],
            "write_s": found["write_s"],
            "contenders": {name: measurement([1000 * s for s in found[key]], unit="ms") for name, key in turns.items()},
            "cost_s": round(cost_s, 3),
            "cost_error_s": round(statistics.stdev(costs) / len(costs) ** 0.5, 3),
            "share": round(cost_s / 60, 4),
        },
    )
    click.echo(
        f"a save costs {row['cost_s']} +- {row['cost_error_s']} s: {100 * row['share']:.2f} % at one save a minute"
    )


if __name__ == "__main__":
    sys.exit(run_command(command, "benchmarks.training.checkpoint"))
