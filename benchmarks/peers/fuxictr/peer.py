"""FuxiCTR's DIN on our rows, in an environment of its own: python -m benchmarks.peers.fuxictr.peer --data FOLDER."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from benchmarks import ROOT
from benchmarks.harness import append_all, run_command
from benchmarks.peers.fuxictr.loaders import DEFAULT, LOADERS
from embeddings.errors import InputError

REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def environment(folder: Path = ROOT / ".venv-fuxictr") -> Path:
    """The interpreter of the peer's environment, built first where it is missing or its requirements changed.

    Raises InputError where pip fails.
    """
    python, stamp = folder / "bin" / "python", folder / "requirements.sha256"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return python
    print(f"building {folder} for FuxiCTR (once, about a minute)", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True, text=True)
        pip: list[str | Path] = [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            REQUIREMENTS,
        ]
        subprocess.run(pip, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        print(error.stdout, error.stderr, sep="", file=sys.stderr)
        raise InputError(f"'{folder}' could not be built; see the words above, fix the cause and run again") from error
    stamp.write_text(wanted)  # last: an environment without it is built again
    return python


def measure(
    data: str,
    *,
    loaders: tuple[str, ...] = tuple(LOADERS),
    epochs: int = 1,
    seed: int = 0,
    threads: int = 2,
    batch_size: int = 1024,
    modality: str | None = None,
    attention_activation: str = "Dice",
) -> list[dict[str, Any]]:
    """One row per loader: speed of training, and quality on validation and test by our metrics.

    ``examples_per_s`` is the median over epochs of the training steps alone, without each epoch's first 20. A
    ``modality`` adds its frozen vectors to what the attention sees. Raises InputError for data that cannot be
    converted and for a peer that fails.
    """
    from benchmarks.peers.fuxictr.convert import convert

    rows = []
    with tempfile.TemporaryDirectory(prefix="fuxictr-") as folder:
        convert(data, folder, modality=modality)
        python = environment()
        for loader in loaders:
            settings = {
                "--loader": loader,
                "--epochs": epochs,
                "--seed": seed,
                "--threads": threads,
                "--batch-size": batch_size,
                "--attention-activation": attention_activation,
            }
            about = {
                "peer": "fuxictr-din",
                "data": data,
                "vectors": modality,
                "loader": loader,
                "default": loader == DEFAULT,
            }
            rows.append(about | _run(python, folder, settings))
    fastest = max(rows, key=lambda row: row["examples_per_s"])
    return [row | {"fastest": row is fastest} for row in rows]


def _run(python: Path, folder: str, settings: dict[str, Any]) -> dict[str, Any]:
    command = [str(python), "-m", "benchmarks.peers.fuxictr.run", folder]
    for name, value in settings.items():
        command += [name, str(value)]
    private = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": folder}
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=private)
    if done.returncode:
        raise InputError(f"the peer ended with status {done.returncode}; see its words above, then run again")
    return json.loads(done.stdout.splitlines()[-1])


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data", required=True, help="Folder with schema.yaml, the splits and the frozen stores.")
@click.option("--epochs", default=1, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=2, show_default=True, type=click.IntRange(1), help="torch threads")
@click.option("--loader", "loaders", multiple=True, type=click.Choice(list(LOADERS)), help="Default: each in turn.")
@click.option("--vectors", is_flag=True, help="The attention sees [id ; frozen vector].")
@click.option("--modality", help="Which vectors; needed with --vectors where the data has several.")
@click.option("--attention-activation", default="Dice", show_default=True, help="Of the attention's hidden layer.")
@click.option("--append", "keep", is_flag=True, help="Add the rows to benchmarks/results/fuxictr.jsonl.")
def main(data: str, vectors: bool, modality: str | None, loaders: tuple[str, ...], keep: bool, **settings: Any) -> None:
    """Train FuxiCTR's DIN on the rows in a data folder; print one JSON row per loader."""
    if vectors and modality is None:
        from recsys.schema import load_schema

        known = sorted(load_schema(data).modalities)
        if len(known) != 1:
            raise InputError(f"--vectors with modalities {known} in '{data}'; choose one with --modality")
        modality = known[0]
    rows = measure(data, loaders=loaders or tuple(LOADERS), modality=modality if vectors else None, **settings)
    for row in append_all("fuxictr", rows) if keep else rows:
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.peers.fuxictr.peer"))
