"""Runs of contrastive learning that are cut off, and when they save."""

import os
import signal
from types import SimpleNamespace

from tests.train.launch import about, cli, rows
from train.run import trainer as loop


def test_the_last_epoch_is_validated_by_whoever_goes_on(config, tmp_path, monkeypatch):
    validate, run = loop.Trainer._validate, tmp_path / "runs" / "run"

    def strike(self, schedule):
        os.kill(os.getpid(), signal.SIGTERM)
        return validate(self, schedule)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "_validate", strike)
        assert cli("scl", "--config", config, "train.epochs=1").status == 143
    last = rows(run)[-1]["step"]
    assert not rows(run, "evaluation") and (run / "checkpoints" / f"step-{last:08d}").is_dir()
    done = cli("scl", "--config", config, "train.epochs=1", "run.resume=true")
    assert done.status == 0, done.err
    assert [(r["step"], r["split"]) for r in rows(run, "evaluation")] == [(last, "validation"), (last, "test")]
    assert len(rows(run)) == last and about(run)["status"] == "done"


def test_what_max_steps_left_is_validated_by_whoever_goes_on(config, tmp_path, monkeypatch):
    validate, run = loop.Trainer._validate, tmp_path / "runs" / "run"
    settings = ["train.epochs=2", "train.max_steps=3"]

    def strike(self, schedule):
        os.kill(os.getpid(), signal.SIGTERM)
        return validate(self, schedule)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "_validate", strike)
        assert cli("scl", "--config", config, *settings).status == 143
    assert not rows(run, "evaluation")
    done = cli("scl", "--config", config, *settings, "run.resume=true")
    assert done.status == 0, done.err
    assert [(r["step"], r["split"]) for r in rows(run, "evaluation")] == [(3, "validation"), (3, "test")]
    again = cli("scl", "--config", config, *settings, "run.resume=true")
    assert again.status == 0 and len([r for r in rows(run, "evaluation") if r["split"] == "validation"]) == 1


def test_the_clock_of_timed_saves_begins_again_at_an_epochs_save(config, tmp_path, monkeypatch):
    now, validate = [0.0], loop.Trainer._validate

    def slowly(self, schedule):
        now[0] += 61
        return validate(self, schedule)

    monkeypatch.setattr("train.run.checkpoint_schedule.time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(loop.Trainer, "_validate", slowly)
    done = cli("scl", "--config", config, "train.epochs=2", "train.checkpoint_minutes=1", "train.keep=99")
    assert done.status == 0, done.err
    run = tmp_path / "runs" / "run"
    ends = [r["step"] for r in rows(run, "evaluation") if r["split"] == "validation"]
    assert len(ends) == 2 and ends[1] - ends[0] > 1
    assert sorted(int(p.name[5:]) for p in (run / "checkpoints").glob("step-*")) == ends
