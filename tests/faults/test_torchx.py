"""torchx's max_retries on one machine: a rank is killed with -9, the job ends with the undisturbed one's numbers."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.faults.strikes import figures, launched, strike_time, whole_and_clean
from tests.train.launch import finished

pytestmark = pytest.mark.slow


def job(config: Path, retries: int) -> subprocess.Popen:
    """``torchx run`` of the training component."""
    folder = Path(sys.executable).parent
    words = ["run", "-s", "local_cwd", "torchx_components/train.py:ctr", "--config", str(config), "-j", "1x2"]
    with open(config.parent / "torchx.log", "w") as said:  # nobody reads a pipe while the job is struck
        return subprocess.Popen(
            [str(folder / "torchx"), *words, "--max_retries", str(retries)],
            cwd=ROOT,
            env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"},
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
        )


def rank_of(config: Path, rank: int) -> int:
    """The process id of a rank of the job that trains ``config``."""
    (pid,) = (
        int(p.name)
        for p in Path("/proc").iterdir()
        if p.name.isdigit() and str(config) in _read(p / "cmdline") and f"RANK={rank}" in _read(p / "environ")
    )
    return pid


def _read(path: Path) -> list[str]:
    try:
        return path.read_text().split("\0")
    except OSError:  # it has ended, or is not ours
        return []


def test_a_rank_is_killed_and_the_job_goes_on_from_its_last_checkpoint(config, tmp_path):
    runs = tmp_path / "runs"
    assert finished(launched(config, "run.name=whole")).status == 0
    process = job(config, retries=1)
    strike_time(runs / "run", process, random.Random(5), saving=False)
    os.kill(rank_of(config, 1), signal.SIGKILL)
    assert process.wait(120) == 0, (tmp_path / "torchx.log").read_text()[-3000:]
    logs = {p.parent.parent.name: p.read_text() for p in (runs / "run" / "logs").rglob("0/stdout.log")}
    assert "resumed from" not in logs["attempt_0"] and "resumed from step-" in logs["attempt_1"]
    assert figures(runs / "run") == figures(runs / "whole")
    whole_and_clean(runs / "run")
