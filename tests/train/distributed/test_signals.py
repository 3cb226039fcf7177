"""SIGTERM that comes more than once: a burst is one, a later one ends the run at once, and none leaves a traceback."""

import contextlib
import os
import signal
import time

import click
import pytest

from tests.train.launch import about, cli, finished, one_line, start_bare_ranks, wait_for_step
from train import __main__ as main
from train.distributed.signals import ignore_sigterm, uninterrupted
from train.run import trainer as loop

ENDLESS = ["train.epochs=100000", "train.checkpoint_every=5"]


def terminate(times: int) -> None:
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGTERM)


def checkpoints(run) -> list[str]:
    return sorted(p.name for p in (run / "checkpoints").glob("step*"))


def test_a_burst_is_one_request_to_save_and_end(config, tmp_path, monkeypatch):
    """A scheduler signals every process of a job, a launcher passes the same signal on, and both repeat themselves."""
    log, run = loop.Trainer._log, tmp_path / "runs" / "run"

    def strike(self, bar):
        log(self, bar)
        if self.state.step == 7:
            terminate(5)

    monkeypatch.setattr(loop.Trainer, "_log", strike)
    one_line(cli("ctr", "--config", config(), *ENDLESS, "process.grace_s=600"), "terminated", status=143)
    assert checkpoints(run) == ["step-00000005", "step-00000008"] and about(run)["status"] == "interrupted"


def test_a_second_request_ends_what_does_not_come_to_its_end(config, tmp_path, monkeypatch):
    log, run = loop.Trainer._log, tmp_path / "runs" / "run"

    def strike(self, bar):
        log(self, bar)
        if self.state.step == 7:
            terminate(1)
            monkeypatch.setattr("train.distributed.signals.SAME_S", 0.0)  # so much later
            terminate(1)
            pytest.fail("it goes on")

    monkeypatch.setattr(loop.Trainer, "_log", strike)
    one_line(cli("ctr", "--config", config(), *ENDLESS, "process.grace_s=600"), "terminated", status=143)
    assert checkpoints(run) == ["step-00000005"] and about(run)["status"] == "interrupted"


@pytest.fixture
def check(monkeypatch):
    """Puts a function behind the command ``check``."""
    return lambda action: monkeypatch.setattr("train.commands.check.command", click.command()(action))


def test_a_burst_does_not_cut_the_words_of_the_end(monkeypatch, check):
    def say(*words, **where):
        terminate(3)
        print(*words, **where)

    monkeypatch.setattr(main, "print", say, raising=False)
    check(lambda: terminate(1))
    one_line(cli("check"), "terminated", status=143)


def test_a_later_signal_ends_what_swallowed_the_first(monkeypatch, check):
    def command() -> None:
        with contextlib.suppress(KeyboardInterrupt):
            terminate(1)
        terminate(1)
        monkeypatch.setattr("train.distributed.signals.SAME_S", 0.0)  # so much later
        terminate(1)
        pytest.fail("it goes on")

    check(command)
    one_line(cli("check"), "terminated", status=143)


@pytest.mark.slow
@pytest.mark.parametrize(("grace_s", "apart_s"), [(3, 0.2), (600, 2.5)])
def test_ranks_that_stand_still_end_all_the_same(config, tmp_path, own_data, grace_s, apart_s):
    """By the end of the grace, or by a second signal: one rank's reader gives nothing more, the other waits for it."""
    run = tmp_path / "runs" / "run"
    settings = [*ENDLESS, f"process.grace_s={grace_s}", "process.timeout_s=500", "data.shuffle_rows=0"]
    processes = start_bare_ranks(
        2, "ctr", "--config", config(own_data), *settings, module="tests.train.distributed.hanging_reader"
    )
    wait_for_step(run, 20, processes[0])
    time.sleep(3)  # until it hangs
    for _ in range(2):
        for process in processes:
            process.send_signal(signal.SIGTERM)
        time.sleep(apart_s)
    first, second = (finished(process, 60) for process in processes)
    one_line(second, "[rank 1] terminated from outside", status=143)
    one_line(first, "[rank 0] ", status=first.status)
    assert first.status in (75, 143) and about(run)["status"] in ("interrupted", "failed")
    assert checkpoints(run)


def test_last_words_are_not_interrupted():
    with uninterrupted():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    ignore_sigterm()
    signal.raise_signal(signal.SIGTERM)
