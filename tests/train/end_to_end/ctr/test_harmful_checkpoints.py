"""Checkpoints from elsewhere: what they plant does not run; those of earlier versions go on as they would have."""

import shutil
from pathlib import Path

import pytest

from tests.train.checkpoint.earlier import count_again, harmful, make_earlier
from tests.train.launch import cli, one_line, rows


@pytest.fixture
def run(config, tmp_path: Path) -> Path:
    """A run of one epoch, as an earlier version wrote it."""
    done = cli("ctr", "--config", config(), "train.epochs=1")
    assert done.status == 0, done.err
    run = tmp_path / "runs" / "run"
    make_earlier(run / "checkpoints" / "step-00000012")
    assert sorted(p.name for p in (run / "checkpoints" / "step-00000012").iterdir()) == [
        ".metadata",
        "__0_0.distcp",
        "progress.json",
    ]
    return run


def test_a_planted_pickle_runs_nothing(run, config, tmp_path):
    checkpoint, mark = run / "checkpoints" / "step-00000012", tmp_path / "mark"
    shutil.copytree(checkpoint, tmp_path / "whole")
    for name in (".metadata", "__0_0.distcp"):
        (checkpoint / name).write_bytes(harmful(mark))
        count_again(checkpoint)
        for command in (["evaluate", run], ["predict", run, "--out", tmp_path / "scores"]):
            one_line(cli(*command), "step-00000012' is damaged: ")
        one_line(cli("ctr", "--config", config(), "run.resume=true", "train.epochs=2"), "step-00000012' is damaged: ")
        assert not mark.exists() and not (tmp_path / "scores").exists()
        shutil.copy(tmp_path / "whole" / name, checkpoint / name)


def test_a_run_of_an_earlier_version_goes_on(run, config, tmp_path):
    done = cli("ctr", "--config", config(), "run.resume=true")
    assert done.status == 0 and "resumed from step-00000012" in done.out, done.err
    whole = cli("ctr", "--config", config(), "run.name=whole")
    assert whole.status == 0, whole.err
    assert [r["loss"] for r in rows(run)] == [r["loss"] for r in rows(run.parent / "whole")]
    assert done.out.splitlines()[-1] == whole.out.splitlines()[-1], "the same scores of the test split"
