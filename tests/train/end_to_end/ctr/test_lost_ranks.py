"""Real processes that are struck: ^C, ranks killed with -9, and an error that only one rank sees."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.train import tiny
from tests.train.launch import (
    Done,
    about,
    cli,
    finished,
    one_line,
    ranks_of,
    rows,
    start,
    start_bare_ranks,
    start_launched_ranks,
    wait_for_step,
)

LONG = ["train.epochs=100000", "train.checkpoint_every=20"]


def test_ctrl_c_on_a_real_process(config, tmp_path):
    path, run = config(), tmp_path / "runs" / "run"
    process = start("ctr", "--config", path, *LONG)
    wait_for_step(run, 25, process)
    process.send_signal(signal.SIGINT)
    one_line(finished(process, 30), "interrupted", status=130)
    assert about(run)["status"] == "interrupted"
    done = cli("ctr", "--config", path, "run.resume=true", "train.epochs=1")
    assert done.status == 0 and "resumed from step-" in done.out, done


def killed(processes: list[subprocess.Popen], victim: int, run: Path) -> list[Done]:
    """Kill one rank with -9 in the middle of training and wait for the others."""
    wait_for_step(run, 25, processes[victim])
    processes[victim].kill()
    began = time.monotonic()
    ends = [finished(p, 60) for p in processes]
    assert time.monotonic() - began < 60
    return ends


def test_a_killed_rank_ends_the_other(config, tmp_path):
    run = tmp_path / "runs" / "run"
    ends = killed(start_bare_ranks(2, "ctr", "--config", config(), *LONG), 1, run)
    assert ends[1].status == -signal.SIGKILL
    one_line(
        ends[0],
        "[rank 0] error: lost the connection to another rank",
        "rank 1 gives no sign of life; it was last seen ",
        "start the run again with run.resume=auto",
        status=75,
    )
    assert about(run)["status"] == "failed"


@pytest.mark.slow
def test_a_killed_first_rank_ends_the_other(config, tmp_path):
    """Rank 0 holds the store through which the ranks met."""
    ends = killed(start_bare_ranks(2, "ctr", "--config", config(), *LONG), 0, tmp_path / "runs" / "run")
    words = "rank 0 does not answer, through which the ranks met"
    one_line(ends[1], "[rank 1] error: lost the connection to another rank", words, status=75)


def beating(process: subprocess.Popen) -> bool:
    """Whether a process is neither stopped nor dead."""
    return Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "TZ"


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_that_stands_still_is_named(config, tmp_path, victim):
    """SIGSTOP: the process is there, and its connections too, but nothing comes."""
    run = tmp_path / "runs" / "run"
    processes = start_bare_ranks(2, "ctr", "--config", config(), *LONG, "process.timeout_s=10")
    wait_for_step(run, 25, processes[victim])
    processes[victim].send_signal(signal.SIGSTOP)
    words = [
        "rank 0 does not answer, through which the ranks met",
        "rank 1 gives no sign of life; it was last seen",
    ]
    end = finished(processes[1 - victim], 60)
    assert not beating(processes[victim])
    one_line(end, f"[rank {1 - victim}] error: lost the connection to another rank", words[victim], status=75)
    processes[victim].send_signal(signal.SIGCONT)
    assert finished(processes[victim], 60).status == 75


@pytest.mark.slow
def test_a_rank_that_stands_still_under_the_launcher(config, tmp_path):
    run = tmp_path / "runs" / "run"
    process = start_launched_ranks(2, "ctr", "--config", config(), *LONG, "process.timeout_s=10")
    wait_for_step(run, 25, process)
    os.kill(ranks_of(process)[1], signal.SIGSTOP)
    done = finished(process, 90)
    assert done.status == 1 and about(run)["status"] == "failed"
    assert len(own_words(done)) == 1 and "rank 1 gives no sign of life; it was last seen" in own_words(done)[0]


@pytest.mark.slow
def test_a_rank_whose_reader_hangs_is_named(config, tmp_path, own_data):
    """Its process beats, but its rows do not come."""
    run = tmp_path / "runs" / "run"
    settings = [*LONG, "process.timeout_s=10", "data.shuffle_rows=0"]
    processes = start_bare_ranks(
        2, "ctr", "--config", config(own_data), *settings, module="tests.train.distributed.hanging_reader"
    )
    end = finished(processes[0], 60)
    one_line(end, "rank 1 is alive, but did not arrive; it was last seen ", "waiting for its reader", status=75)
    processes[1].kill()
    finished(processes[1], 60)
    assert about(run)["status"] == "failed"


def own_words(done: Done) -> list[str]:
    """What the ranks themselves said, without the launcher's part."""
    return [line for line in done.err.splitlines() if line.startswith("[rank ")]


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_rank_under_the_launcher(config, tmp_path, victim):
    run = tmp_path / "runs" / "run"
    process = start_launched_ranks(2, "ctr", "--config", config(), *LONG)
    wait_for_step(run, 25, process)
    os.kill(ranks_of(process)[victim], signal.SIGKILL)
    done = finished(process, 60)
    assert done.status == 1
    words = own_words(done)
    assert len(words) == 1 and words[0].startswith(f"[rank {1 - victim}] "), done.err
    assert "lost the connection to another rank" in words[0] or "terminated" in words[0]
    if victim == 1:
        assert about(run)["status"] in ("failed", "interrupted")


@pytest.fixture
def half_corrupt(own_data) -> Path:
    """Training data whose last row group, which only rank 1 of two reads without a shuffle, has a bad id."""
    tiny.spoil(own_data, "item", tiny.ITEMS + 7, 380)
    return own_data


@pytest.mark.slow
def test_a_file_that_only_one_rank_cannot_read(config, tmp_path, half_corrupt):
    arguments = ["ctr", "--config", config(half_corrupt), "data.shuffle_rows=0"]
    ends = [finished(p, 60) for p in start_bare_ranks(2, *arguments)]
    assert [e.status for e in ends] == [75, 2]
    one_line(ends[1], "[rank 1] error: ", "row group 5, feature 'item': got id 67")
    words = "all ranks have ended, and one of them says why"
    one_line(ends[0], "[rank 0] error: lost the connection to another rank", words, status=75)
    assert about(tmp_path / "runs" / "run")["status"] == "failed"
    done = finished(start_launched_ranks(2, *arguments, "run.overwrite=true"), 90)
    said = [line for line in own_words(done) if "got id 67" in line]
    assert done.status == 1 and len(said) == 1 and len(own_words(done)) <= 2, done.err


@pytest.mark.slow
def test_a_loss_that_is_not_finite_on_two_ranks(config, tmp_path):
    settings = ["dense_optimizer.lr=1e30", "train.clip_grad_norm=null", "train.warmup_steps=0"]
    ends = [finished(p, 60) for p in start_bare_ranks(2, "ctr", "--config", config(), *settings)]
    assert {e.status for e in ends} <= {2, 75}
    words = [line for e in ends for line in e.errors]
    assert 1 <= len(words) <= 2 and all("not finite" in w or "lost the connection" in w for w in words), words
    assert any("not finite" in w for w in words)


@pytest.mark.slow
def test_ctrl_c_under_the_launcher(config, tmp_path):
    run = tmp_path / "runs" / "run"
    process = start_launched_ranks(2, "ctr", "--config", config(), *LONG)
    wait_for_step(run, 25, process)
    for pid in [*ranks_of(process), process.pid]:  # as a terminal does, to all at once
        os.kill(pid, signal.SIGINT)
    done = finished(process, 60)
    assert done.status != 0 and about(run)["status"] in ("interrupted", "failed")
    words = own_words(done)
    assert words and all("interrupted" in w or "lost the connection" in w for w in words), done.err


def without_a_reader(*arguments: object) -> int:
    """The exit status of a command whose output and errors nobody reads from the first line on."""
    command = [sys.executable, "-m", "train", *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    process.stderr.close()
    return process.wait(120)


@pytest.mark.slow
def test_a_run_whose_output_nobody_reads_trains_to_its_end(config, tmp_path):
    assert without_a_reader("ctr", "--config", config(), "train.checkpoint_every=3") == 0
    assert about(tmp_path / "runs" / "run")["status"] == "done"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_to_the_launcher_saves(config, tmp_path, number):
    run = tmp_path / "runs" / "run"
    handled = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
    process = start_launched_ranks(
        2, "ctr", "--config", config(), "train.epochs=100000", options=[f"--signals-to-handle={handled}"]
    )
    wait_for_step(run, 5, process)
    process.send_signal(number)
    done = finished(process, 60)
    said = f"terminated from outside by {number.name}"
    assert done.status == 1 and sorted(own_words(done)) == [f"[rank 0] {said}", f"[rank 1] {said}"]
    assert about(run)["status"] == "interrupted"
    assert (run / "checkpoints" / f"step-{rows(run)[-1]['step']:08d}").is_dir()


@pytest.mark.slow
def test_a_launcher_that_is_killed_takes_its_ranks_along_and_the_next_one_goes_on(config, tmp_path):
    run, arguments = tmp_path / "runs" / "run", ["ctr", "--config", config(), "run.resume=auto"]
    logs = [f"--log-dir={tmp_path / 'logs'}", "--redirects=3"]  # a pipe would have its reader killed
    process = start_launched_ranks(2, *arguments, *LONG, options=logs)
    wait_for_step(run, 25, process)
    orphans = ranks_of(process)
    process.kill()
    next_one = start_launched_ranks(2, *arguments, "train.epochs=60", options=logs)  # at once
    assert finished(process, 60).status == -signal.SIGKILL
    done = finished(next_one, 180)
    assert done.status == 0 and about(run)["status"] == "done", done.err[-3000:]
    assert not [pid for pid in orphans if Path(f"/proc/{pid}").exists()]
    steps = [row["step"] for row in rows(run)]
    assert steps == list(range(1, 60 * 6 + 1)), "every row once"


@pytest.mark.slow
def test_a_second_launcher_is_refused_on_all_its_ranks(config, tmp_path):
    run, path = tmp_path / "runs" / "run", config()
    alive = start("ctr", "--config", path, *LONG)
    wait_for_step(run, 25, alive)
    for setting in ("run.resume=auto", "run.overwrite=true"):
        began = rows(run)[-1]["step"]
        done = finished(start_launched_ranks(2, "ctr", "--config", path, *LONG, setting), 90)
        (words,) = own_words(done)
        assert (
            done.status == 1 and words.startswith("[rank 0] error: run folder ") and f"process {alive.pid} on" in words
        )
        assert rows(run)[-1]["step"] > began, "the first one goes on"
    alive.send_signal(signal.SIGTERM)
    assert finished(alive, 60).status == 143
