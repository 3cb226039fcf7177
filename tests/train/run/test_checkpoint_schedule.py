"""When a run saves by the clock."""

from types import SimpleNamespace

from tests.train.launch import cli
from train.ctr import task


def test_the_clock_of_timed_saves_begins_again_at_an_epochs_save(config, tmp_path, monkeypatch):
    """Validation takes longer than the minutes between saves; what follows it is saved once, not twice."""
    now, collect = [0.0], task.collect

    def validate(*arguments):
        now[0] += 61
        return collect(*arguments)

    monkeypatch.setattr("train.run.checkpoint_schedule.time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(task, "collect", validate)
    done = cli("ctr", "--config", config(), "train.checkpoint_minutes=1", "train.keep=99")
    assert done.status == 0, done.err
    kept = sorted(p.name for p in (tmp_path / "runs" / "run" / "checkpoints").glob("step*"))
    assert kept == ["step-00000012", "step-00000024"]


def test_checkpoints_by_the_clock(config, tmp_path, monkeypatch):
    from train.run import checkpoint_schedule

    now = iter(range(0, 100_000, 20))
    monkeypatch.setattr(checkpoint_schedule.time, "monotonic", lambda: next(now))
    monkeypatch.setattr("train.run.checkpoint_schedule.Consensus.due", lambda self: True)
    done = cli("ctr", "--config", config(), "train.checkpoint_minutes=1", "train.epochs=1", "train.keep=99")
    assert done.status == 0, done.err
    kept = sorted(int(p.name[5:]) for p in (tmp_path / "runs" / "run" / "checkpoints").glob("step*"))
    assert len(kept) > 2 and all(b - a <= 4 for a, b in zip([0, *kept], kept, strict=False)), kept
