"""Ends of a run in one process: signals, what the system refuses, a checkpoint that takes too long."""

import contextlib
import errno
import os
import signal
import time

import pytest

from tests.train import tiny
from tests.train.launch import about, cli, one_line
from train.run import lifecycle
from train.run import trainer as loop


def test_an_interrupt_before_signals_are_handled(monkeypatch):
    told = []

    class Run:
        class checkpointer:
            settle = staticmethod(lambda left_s: told.append(left_s))

        end = staticmethod(told.append)

    @contextlib.contextmanager
    def interrupted(grace_s):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(lifecycle, "stop_on_signals", interrupted)
    monkeypatch.setattr(lifecycle, "uninterrupted", contextlib.nullcontext)  # this process goes on
    with pytest.raises(KeyboardInterrupt):
        lifecycle.run_to_end(Run(), 30)
    assert told == [30, "interrupted"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "error: no space left on device: 'somewhere'; free some space, then run again"),
        (errno.EACCES, "error: permission denied: 'somewhere'; check the place and its permissions, then run again"),
        (errno.EROFS, "error: read-only file system: 'somewhere'; check the place"),
    ],
)
def test_what_the_system_refuses_is_one_line(config, tmp_path, monkeypatch, number, words):
    def refuse(*arguments):
        raise OSError(number, os.strerror(number), "somewhere")

    monkeypatch.setattr("train.run.run_folder.RunFolder.log", refuse)
    one_line(cli("ctr", "--config", config(), "train.max_steps=1"), words)
    assert about(tmp_path / "runs" / "run")["status"] == "failed"


def test_the_cause_is_told_where_the_end_cannot_be_written_either(config, own_data, monkeypatch):
    def refuse(self, status):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "run.json")

    tiny.spoil(own_data, "item", tiny.ITEMS, 300)
    monkeypatch.setattr(loop.Trainer, "end", refuse)
    one_line(cli("ctr", "--config", config(own_data)), "feature 'item': got id 60 (1 such)")


def test_other_system_errors_are_defects(config, monkeypatch):
    def fail(*arguments):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr("train.run.run_folder.RunFolder.log", fail)
    with pytest.raises(OSError):
        cli("ctr", "--config", config(), "train.max_steps=1")


@pytest.mark.parametrize(
    ("number", "status", "word", "kept"),
    [
        (signal.SIGINT, 130, "interrupted", 6),
        (signal.SIGTERM, 143, "terminated from outside by SIGTERM, as a launcher does when another rank fails", 8),
        (signal.SIGHUP, 129, "terminated from outside by SIGHUP", 8),
        (signal.SIGUSR1, 138, "terminated from outside by SIGUSR1", 8),
    ],
)
def test_a_signal_in_the_middle(config, tmp_path, monkeypatch, number, status, word, kept):
    """^C ends the run at once; the others save first, after the step that they find running."""
    log, before = loop.Trainer._log, signal.getsignal(number)

    def strike(self, bar):
        log(self, bar)
        if self.state.step == 7:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(loop.Trainer, "_log", strike)
    path, run = config(), tmp_path / "runs" / "run"
    one_line(cli("ctr", "--config", path, "train.checkpoint_every=3"), word, status=status)
    assert about(run)["status"] == "interrupted"
    assert signal.getsignal(number) is before
    monkeypatch.undo()
    done = cli("ctr", "--config", path, "run.resume=true", "train.checkpoint_every=3")
    assert done.status == 0 and f"resumed from step-{kept:08d}" in done.out


def test_a_signal_that_is_ignored_on_purpose(config, tmp_path, monkeypatch):
    """As nohup has it with SIGHUP."""
    log = loop.Trainer._log

    def strike(self, bar):
        log(self, bar)
        os.kill(os.getpid(), signal.SIGHUP)

    monkeypatch.setattr(loop.Trainer, "_log", strike)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert cli("ctr", "--config", config(), "train.max_steps=4").status == 0
    assert about(tmp_path / "runs" / "run")["status"] == "done"


def test_sigterm_that_cannot_be_honoured_in_time(config, tmp_path, monkeypatch):
    log, run = loop.Trainer._log, tmp_path / "runs" / "run"

    def strike(self, bar):
        log(self, bar)
        if self.state.step == 7:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)

    monkeypatch.setattr(loop.Trainer, "_log", strike)
    done = cli("ctr", "--config", config(), "train.checkpoint_every=3", "process.grace_s=4")
    one_line(done, "terminated", status=143)
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["step-00000003", "step-00000006"]


def test_a_signal_while_a_checkpoint_is_written(config, tmp_path, monkeypatch):
    """The run ends once the checkpoint is whole."""
    from train.checkpoint import checkpointer

    write, path, run = checkpointer.write_shards, config(), tmp_path / "runs" / "run"

    def strike(folder, *arguments):
        if "step-00000006" in str(folder):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        return write(folder, *arguments)

    monkeypatch.setattr(checkpointer, "write_shards", strike)
    one_line(cli("ctr", "--config", path, "train.checkpoint_every=3"), "interrupted", status=130)
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["step-00000003", "step-00000006"]
    assert about(run)["status"] == "interrupted"
    done = cli("ctr", "--config", path, "run.resume=true", "train.checkpoint_every=3")
    assert done.status == 0 and "resumed from step-00000006" in done.out


def test_a_checkpoint_that_takes_longer_than_the_grace(config, tmp_path, monkeypatch):
    from train.checkpoint import checkpointer

    write, path, run = checkpointer.write_shards, config(), tmp_path / "runs" / "run"

    def strike(folder, *arguments):
        if "step-00000006" in str(folder):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(4)
        return write(folder, *arguments)

    monkeypatch.setattr(checkpointer, "write_shards", strike)
    done = cli("ctr", "--config", path, "train.checkpoint_every=3", "process.grace_s=1")
    assert done.status == 130 and "a checkpoint was not written within 1 s; those before are whole" in done.err
    assert sorted(p.name for p in (run / "checkpoints").glob("step*")) == ["step-00000003"]
    monkeypatch.undo()
    done = cli("ctr", "--config", path, "run.resume=true", "train.checkpoint_every=3")
    assert done.status == 0 and "resumed from step-00000003" in done.out
