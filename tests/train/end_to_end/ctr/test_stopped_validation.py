"""SIGTERM while a run validates: what was trained is kept, and validated by whoever goes on."""

import os
import signal

import pytest

from tests.train.launch import cli, one_line, rows
from train.ctr import task


def ended_in_validation(patch: pytest.MonkeyPatch, number: int, *words: object) -> None:
    """Run ctr, to which SIGTERM comes in its ``number``-th validation."""
    collect, begun = task.collect, []

    def strike(*arguments):
        begun.append(arguments)
        if len(begun) == number:
            os.kill(os.getpid(), signal.SIGTERM)
        return collect(*arguments)

    with patch.context() as context:
        context.setattr(task, "collect", strike)
        one_line(cli("ctr", *words), "terminated", status=143)


def test_sigterm_in_validation_saves_the_epoch(config, tmp_path, monkeypatch):
    """What the epoch learned is kept, and validated by whoever goes on."""
    path, run = config(), tmp_path / "runs" / "run"
    ended_in_validation(monkeypatch, 1, "--config", path)
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["step-00000012"]
    done = cli("ctr", "--config", path, "run.resume=true")
    assert done.status == 0 and "resumed from step-00000012: epoch 1" in done.out
    assert [r["step"] for r in rows(run, "evaluation")] == [12, 24]


def test_sigterm_in_the_only_validation_of_max_steps(config, tmp_path, monkeypatch):
    path, run = config(), tmp_path / "runs" / "run"
    ended_in_validation(monkeypatch, 1, "--config", path, "train.max_steps=5")
    done = cli("ctr", "--config", path, "train.max_steps=3", "run.resume=true")
    assert done.status == 0 and "resumed from step-00000005" in done.out, done.err
    assert len(rows(run)) == 5 and [r["step"] for r in rows(run, "evaluation")] == [5]
    assert (run / "evaluation" / "test.json").is_file()


def test_sigterm_in_a_later_validation_of_max_steps(config, tmp_path, monkeypatch):
    """An epoch before has been the best, and yet the last is validated by whoever goes on."""
    path, run = config(), tmp_path / "runs" / "run"
    ended_in_validation(monkeypatch, 2, "--config", path, "train.max_steps=17")
    assert [r["step"] for r in rows(run, "evaluation")] == [12]
    done = cli("ctr", "--config", path, "train.max_steps=17", "run.resume=true")
    assert done.status == 0 and "resumed from step-00000017" in done.out, done.err
    assert len(rows(run)) == 17 and [r["step"] for r in rows(run, "evaluation")] == [12, 17]
