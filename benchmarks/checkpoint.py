"""What checkpoints cost: a minute of training with one save beside a minute without, in turns, on tables of about 1 GB.

    python -m benchmarks.checkpoint

Both arms are minutes of the same processes. A minute with a save begins with its copy and ends no earlier than its
last file is on disk, so the row holds all of it: the copy between two steps, and the writing beside the steps.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import click

from benchmarks.harness import append, measurement, run_command

ROOT = Path(__file__).resolve().parents[1]


@click.command()
@click.option("--ranks", default=2, show_default=True)
@click.option("--rows", default=14_000_000, show_default=True, help="Rows of the large table, of width 16.")
@click.option("--batch-size", default=4096, show_default=True, help="Rows a step and rank.")
@click.option("--seconds", default=60.0, show_default=True, help="Length of a turn: one save in each other one.")
@click.option("--pairs", default=2, show_default=True, help="Turns with a save, and as many without.")
@click.option("--folder", default=None, help="Place on the disk to be measured; default: the system's temporary one.")
def command(ranks: int, rows: int, batch_size: int, seconds: float, pairs: int, folder: str | None) -> None:
    """Measure the share of training time that one save in --seconds costs."""
    place = Path(tempfile.mkdtemp(prefix="checkpoint-", dir=folder))
    try:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        shared = {"WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        arguments = [place, rows, batch_size, seconds, pairs]
        processes = []
        for rank in range(ranks):
            variables = {k: str(v) for k, v in {**shared, "RANK": rank, "LOCAL_RANK": rank}.items()}
            whole = [sys.executable, "-m", "benchmarks.checkpoint_rank", *map(str, arguments)]
            processes.append(subprocess.Popen(whole, cwd=ROOT, env={**os.environ, **variables}))
        if any([p.wait() for p in processes]):
            raise click.ClickException("a rank failed; its words are above")
        found = json.loads((place / "found.json").read_text())
    finally:
        shutil.rmtree(place, ignore_errors=True)
    without, with_save = (measurement(found[k]) for k in ("without", "with"))
    share = 1 - sum(found["with"]) / sum(found["without"])
    row = append(
        "checkpoint",
        {
            "shapes": {"ranks": ranks, "rows": rows, "width": 16, "batch_size": batch_size, "seconds": seconds},
            "checkpoint_bytes": found["checkpoint_bytes"],
            "copy_s": found["copy_s"],
            "write_s": found["write_s"],
            "contenders": {"with a save": with_save, "without": without},
            "share": round(share, 4),
        },
    )
    click.echo(f"one save in {seconds:g} s costs {100 * row['share']:.2f} % of {without['median']:,.0f} examples/s")


if __name__ == "__main__":
    sys.exit(run_command(command, "benchmarks.checkpoint"))
