"""kill -9 at random moments, while training and while saving; the run ends with the undisturbed one's numbers."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.train.launch import about, cli, finished, ranks_of, rows, start, start_launched_ranks

pytestmark = pytest.mark.slow
KILLS_ALONE, KILLS_OF_RANKS = 14, 8  # more than 20 together


def figures(run: Path) -> list[tuple]:
    """Every number of a run but its speed."""
    train = [(r["step"], r["epoch"], r["loss"], r["ne"], r["lr_dense"], r["lr_sparse"]) for r in rows(run)]
    validation = [{k: v for k, v in r.items()} for r in rows(run, "evaluation")]
    return [train, validation, json.loads((run / "evaluation" / "test.json").read_text())]


def whole_and_clean(run: Path) -> None:
    """Nothing is left of what was struck: no half-written checkpoint, no damaged one, no more than are kept."""
    names = [p.name for p in (run / "checkpoints").iterdir()]
    assert not [n for n in names if n.startswith((".", "damaged"))], names
    assert len([n for n in names if n.startswith("step-")]) <= 3 and about(run)["status"] == "done"


def strike_time(run: Path, process: subprocess.Popen, rng: random.Random, saving: bool) -> None:
    """Wait until the run is some steps further than ever, and then for a random moment, or for one while it saves."""
    last = max((r["step"] for r in rows(run)), default=0)
    target, until = last + rng.randint(1, 12), time.monotonic() + 90
    while not any(r["step"] >= target for r in rows(run)):
        assert process.poll() is None and time.monotonic() < until, "the run does not go on"
        time.sleep(0.01)
    time.sleep(rng.random() * 0.1)
    while saving and not any((run / "checkpoints").glob(".writing-*/*")):
        assert process.poll() is None and time.monotonic() < until, "the run ended before it was struck"


def test_one_process_killed_again_and_again(config, tmp_path):
    runs, rng = tmp_path / "runs", random.Random(7)
    arguments = ["ctr", "--config", config, "data.batch_size=32", "train.epochs=14"]
    assert cli(*arguments, "run.name=whole").status == 0
    for kill in range(KILLS_ALONE):
        process = start(*arguments)
        strike_time(runs / "run", process, rng, saving=kill % 2 == 1)
        process.kill()
        assert finished(process).status == -signal.SIGKILL
    done = finished(start(*arguments))
    assert done.status == 0 and "resumed from step-" in done.out, done.err
    assert figures(runs / "run") == figures(runs / "whole")
    whole_and_clean(runs / "run")


def launched(config: Path, *overrides: str, restarts: int = 0) -> subprocess.Popen:
    # Into a file: nobody reads a pipe while the run is struck, and a full one would hold it up.
    options = [
        f"--log-dir={config.parent / 'logs'}",
        "--redirects=3",
        f"--max-restarts={restarts}",
        "--monitor-interval=0.1",
    ]
    return start_launched_ranks(2, "ctr", "--config", config, *overrides, options=options)


def said_by(config: Path, stream: str = "stderr") -> list[Path]:
    """What the launched ranks wrote."""
    return sorted((config.parent / "logs").rglob(f"{stream}.log"))


def test_ranks_killed_again_and_again_under_one_launcher(config, tmp_path):
    """What torchx's max_retries comes to: the launcher starts all ranks again, with the same command."""
    runs, rng = tmp_path / "runs", random.Random(11)
    assert finished(launched(config, "run.name=whole")).status == 0
    process = launched(config, restarts=KILLS_OF_RANKS)
    for kill in range(KILLS_OF_RANKS):
        strike_time(runs / "run", process, rng, saving=kill % 2 == 1)
        victims = ranks_of(process)
        for victim in [victims] if kill % 4 == 3 else [[rng.choice(victims)]]:  # at times all, as a machine that fails
            for pid in victim:
                os.kill(pid, signal.SIGKILL)
    done = finished(process)
    assert done.status == 0, done.err[-3000:]
    assert figures(runs / "run") == figures(runs / "whole")
    whole_and_clean(runs / "run")


def test_sigterm_to_the_launcher_saves_and_the_next_one_goes_on(config, tmp_path):
    runs, settings = (
        tmp_path / "runs",
        ["train.checkpoint_every=null", "train.checkpoint_minutes=null", "train.epochs=4"],
    )
    assert finished(launched(config, *settings, "run.name=whole")).status == 0
    process = launched(config, *settings)
    strike_time(runs / "run", process, random.Random(3), saving=False)
    process.send_signal(signal.SIGTERM)
    done = finished(process, 60)
    said = [line for path in said_by(config) for line in path.read_text().splitlines() if line.startswith("[rank ")]
    assert done.status != 0 and len(said) == 2 and all("terminated" in line for line in said), said
    last = rows(runs / "run")[-1]["step"]
    assert about(runs / "run")["status"] == "interrupted" and last < 4 * 24
    done = finished(launched(config, *settings))
    assert done.status == 0
    assert [p for p in said_by(config, "stdout") if f"resumed from step-{last:08d}" in p.read_text()]
    assert figures(runs / "run") == figures(runs / "whole")
