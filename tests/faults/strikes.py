"""Runs that are struck: when to strike, what is compared with the undisturbed run, what may be left behind."""

import contextlib
import json
import random
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.train.launch import about, rows, start_launched_ranks

SPEED = "examples_per_s"


def write_config(folder: Path, data: Path) -> Path:
    """``folder/run.yaml`` of runs that are long enough to be struck often, and save all the time."""
    path = folder / "run.yaml"
    path.write_text(
        f"data: {{path: {data}, shuffle_rows: 100, batch_size: 16, eval_batch_size: 64}}\n"
        "model: {embedding_dim: 4, over_arch: [8, 8], attention: {hidden: [4]}, dropout: 0.3}\n"
        "train: {epochs: 12, log_every: 1, warmup_steps: 5, select: auc, checkpoint_every: 3,\n"
        "  checkpoint_minutes: 0.02}\n"
        f"process: {{device: cpu, threads: 1, timeout_s: 60}}\nrun: {{root: {folder / 'runs'}, resume: auto}}\n"
    )
    return path


def figures(run: Path) -> list[Any]:
    """Every number of a run but its speed: rows of training and validation in their order, and the test's."""
    test = run / "evaluation" / "test.json"  # contrastive learning has none
    kinds = ("train", "evaluation")
    numbers = [[{k: v for k, v in row.items() if k != SPEED} for row in rows(run, kind)] for kind in kinds]
    return [*numbers, json.loads(test.read_text()) if test.is_file() else None]


def whole_and_clean(run: Path) -> None:
    """Nothing is left of what was struck: no half-written checkpoint, no damaged one, no more than are kept."""
    names = [p.name for p in (run / "checkpoints").iterdir()]
    assert not [n for n in names if n.startswith((".", "damaged"))], names
    assert len([n for n in names if n.startswith("step-")]) <= 3 and about(run)["status"] == "done"


class Ended(AssertionError):
    """The run ended by itself before it was struck."""


def strike_time(run: Path, process: subprocess.Popen, rng: random.Random, saving: bool, most_steps: int = 12) -> None:
    """Wait until the run is some steps further than ever, and then for a random moment, or for one while it saves."""
    last = max((r["step"] for r in rows(run)), default=0)
    target, until = last + rng.randint(1, most_steps), time.monotonic() + 90
    while not any(r["step"] >= target for r in rows(run)):
        _still(process, until)
        time.sleep(0.01)
    time.sleep(rng.random() * 0.1)
    while saving and not _saves(run):
        _still(process, until)


def _saves(run: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):  # a checkpoint got its name meanwhile
        return any((run / "checkpoints").glob(".writing-*/*"))
    return False


def _still(process: subprocess.Popen, until: float) -> None:
    if process.poll() is not None:
        raise Ended(f"the run ended with status {process.returncode} before it was struck")
    assert time.monotonic() < until, "the run does not go on"


def launched(config: Path, *overrides: str, restarts: int = 0, command: str = "ctr", **environment) -> subprocess.Popen:
    """Two ranks under torch's launcher; what they say goes to files beside ``config``."""
    # Into a file: nobody reads a pipe while the run is struck, and a full one would hold it up.
    options = [
        f"--log-dir={config.parent / 'logs'}",
        "--redirects=3",
        f"--max-restarts={restarts}",
        "--monitor-interval=0.1",
    ]
    return start_launched_ranks(2, command, "--config", config, *overrides, options=options, **environment)


def said_by(config: Path, stream: str = "stderr") -> list[Path]:
    """What the launched ranks wrote."""
    return sorted((config.parent / "logs").rglob(f"{stream}.log"))
