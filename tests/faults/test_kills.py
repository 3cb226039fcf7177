"""kill -9 at random moments, while training and while saving; the run ends with the undisturbed one's numbers."""

import os
import random
import signal

import pytest

from tests.faults.strikes import figures, launched, said_by, strike_time, whole_and_clean
from tests.train.launch import about, cli, finished, ranks_of, rows, start

pytestmark = pytest.mark.slow
KILLS_ALONE, KILLS_OF_RANKS = 14, 8  # more than 20 together


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
