"""Signals that save: a burst is one, a later one ends the run at once, those ignored on purpose stay so."""

import contextlib
import os
import signal
import time

import click
import pytest

from tests.train.launch import about, cli, finished, one_line, start_bare_ranks, wait_for_step
from train import __main__ as main
from train.distributed.signals import (
    SAVING,
    ignore_signals,
    signals_as_interrupt,
    stop_on_signals,
    uninterrupted,
)
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


@pytest.mark.parametrize("number", SAVING)
def test_each_signal_ends_any_command_with_a_status_of_its_own(check, number):
    check(lambda: signal.raise_signal(number))
    one_line(cli("check"), f"terminated from outside by {number.name}", status=128 + number)


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


@pytest.mark.parametrize("number", SAVING)
def test_each_signal_is_noted_and_then_ends_the_work_under_its_own_name(number):
    with signals_as_interrupt() as ended:
        with pytest.raises(KeyboardInterrupt), stop_on_signals(600) as stop:
            signal.raise_signal(number)
            assert stop.asked and ended.by is None and 590 < stop.left_s <= 600
            stop.now()
        assert ended.by is number
        signal.raise_signal(number)  # of the same burst
    assert {"SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU"} == {n.name for n in SAVING}


def test_a_signal_to_another_rank_ends_this_one_as_sigterm_does():
    with signals_as_interrupt() as ended, pytest.raises(KeyboardInterrupt), stop_on_signals(600) as stop:
        stop.now()
    assert ended.by is signal.SIGTERM


def test_a_later_signal_of_another_kind_ends_the_work_and_the_first_is_named(monkeypatch):
    """Slurm's warning, then its end."""
    monkeypatch.setattr("train.distributed.signals.SAME_S", 0.0)
    with signals_as_interrupt() as ended:
        with pytest.raises(KeyboardInterrupt), stop_on_signals(600):
            signal.raise_signal(signal.SIGUSR1)
            signal.raise_signal(signal.SIGTERM)
        assert ended.by is signal.SIGUSR1


def test_the_first_signal_names_the_end_whatever_follows(monkeypatch):
    monkeypatch.setattr("train.distributed.signals.SAME_S", 0.0)
    with signals_as_interrupt() as ended:
        for number in (signal.SIGHUP, signal.SIGTERM):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
            assert ended.by is signal.SIGHUP


def test_a_signal_that_repeats_itself_is_one(monkeypatch):
    monkeypatch.setattr("train.distributed.signals.SAME_S", 0.0)
    with stop_on_signals(600) as stop:
        for _ in range(3):
            signal.raise_signal(signal.SIGXCPU)
    assert stop.asked
    with signals_as_interrupt():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGXCPU)
        signal.raise_signal(signal.SIGXCPU)


@pytest.mark.parametrize("number", SAVING)
def test_a_signal_that_whoever_started_us_has_us_ignore(number):
    signal.signal(number, signal.SIG_IGN)
    with signals_as_interrupt(), stop_on_signals(600) as stop:
        signal.raise_signal(number)
        assert not stop.asked
    assert signal.getsignal(number) is signal.SIG_IGN


def test_all_signals_have_their_old_meaning_afterwards():
    def own(*_):
        pass

    for number in SAVING:
        signal.signal(number, own)
    with signals_as_interrupt(), stop_on_signals(600):
        pass
    assert all(signal.getsignal(number) is own for number in SAVING)


def test_last_words_are_not_interrupted():
    with uninterrupted():
        for number in (signal.SIGINT, *SAVING):
            signal.raise_signal(number)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    ignore_signals()
    for number in SAVING:
        signal.raise_signal(number)
