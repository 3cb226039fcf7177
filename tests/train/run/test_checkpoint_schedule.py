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
