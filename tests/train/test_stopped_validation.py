"""SIGTERM while a run validates: what was trained is kept, and validated by whoever goes on."""

import os
import signal

from tests.train.launch import one_line, rows, verb
from train import loop


def test_sigterm_in_validation_saves_the_epoch(config, tmp_path, monkeypatch):
    """What the epoch learned is kept, and validated by whoever goes on."""
    collect, path, run = loop.collect, config(), tmp_path / "runs" / "run"

    def strike(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return collect(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "collect", strike)
        one_line(verb("ctr", "--config", path), "terminated", status=143)
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["step-00000012"]
    done = verb("ctr", "--config", path, "run.resume=true")
    assert done.status == 0 and "resumed from step-00000012: epoch 1" in done.out
    assert [r["step"] for r in rows(run, "evaluation")] == [12, 24]


def test_sigterm_in_the_only_validation_of_max_steps(config, tmp_path, monkeypatch):
    collect, path, run = loop.collect, config(), tmp_path / "runs" / "run"

    def strike(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return collect(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "collect", strike)
        one_line(verb("ctr", "--config", path, "train.max_steps=5"), "terminated", status=143)
    done = verb("ctr", "--config", path, "train.max_steps=3", "run.resume=true")
    assert done.status == 0 and "resumed from step-00000005" in done.out, done.err
    assert len(rows(run)) == 5 and [r["step"] for r in rows(run, "evaluation")] == [5]
    assert (run / "evaluation" / "test.json").is_file()


def test_sigterm_in_a_later_validation_of_max_steps(config, tmp_path, monkeypatch):
    """An epoch before has been the best, and yet the last is validated by whoever goes on."""
    collect, path, run = loop.collect, config(), tmp_path / "runs" / "run"
    begun: list[tuple] = []

    def strike(*arguments):
        begun.append(arguments)
        if len(begun) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return collect(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "collect", strike)
        one_line(verb("ctr", "--config", path, "train.max_steps=17"), "terminated", status=143)
    assert [r["step"] for r in rows(run, "evaluation")] == [12]
    done = verb("ctr", "--config", path, "train.max_steps=17", "run.resume=true")
    assert done.status == 0 and "resumed from step-00000017" in done.out, done.err
    assert len(rows(run)) == 17 and [r["step"] for r in rows(run, "evaluation")] == [12, 17]
