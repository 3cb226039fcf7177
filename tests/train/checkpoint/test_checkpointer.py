"""Checkpoints of a run: written beside it, all damaged, on a full disk; failures of several ranks."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.train.checkpoint.runs import checkpoints, cut, resumed
from tests.train.launch import cli
from train.checkpoint.checkpoint_folder import CheckpointFolder
from train.checkpoint.checkpointer import Checkpointer


def test_whoever_may_read_new_files_may_read_all_of_a_run(run):
    mask = os.umask(0)
    os.umask(mask)
    closed = [str(p) for p in run.rglob("*") if p.is_file() and p.stat().st_mode & 0o444 & ~mask != 0o444 & ~mask]
    assert not closed


def test_a_run_without_a_test_waits_for_its_last_checkpoint(config, tmp_path, monkeypatch):
    whole = CheckpointFolder.publish
    monkeypatch.setattr(CheckpointFolder, "publish", lambda *a: (time.sleep(0.5), whole(*a)))
    done = cli("ctr", "--config", config(), "data.test=null", "train.epochs=1")
    assert done.status == 0, done.err
    assert checkpoints(tmp_path / "runs" / "run") == ["best.json", "step-00000012"]


def test_all_checkpoints_damaged(run):
    for path in (run / "checkpoints").glob("step-*"):
        cut(path / ".metadata")
    for setting in ("run.resume=true", "run.resume=auto"):
        done = resumed(run, setting)
        assert done.status == 2 and "were damaged; start a new run" in done.err.splitlines()[-1], done.err


def test_a_kill_before_best_json_was_written(run):
    (run / "checkpoints" / "best.json").unlink()
    newest = run / "checkpoints" / "step-00000024" / "progress.json"
    newest.write_text(json.dumps({**json.loads(newest.read_text()), "is_best": True}))
    done = resumed(run, "train.epochs=2")
    assert done.status == 0, done.err
    assert json.loads((run / "checkpoints" / "best.json").read_text())["checkpoint"] == "step-00000024"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 600 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "none", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("cannot mount a small file system; needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, leave: int) -> None:
    with pytest.raises(OSError), open(disk / "ballast", "wb", buffering=0) as filler:
        while filler.write(bytes(4096)) == 4096:
            pass
    os.truncate(disk / "ballast", (disk / "ballast").stat().st_size - leave)


def test_a_full_disk_leaves_the_checkpoints_before_whole(config, small_disk):
    path = config()
    arguments = ["ctr", "--config", path, f"run.root={small_disk}"]
    assert cli(*arguments, "train.epochs=1").status == 0
    before = checkpoints(small_disk / "run")
    fill(small_disk, leave=16 << 10)  # rows of metrics fit, a checkpoint does not
    done = cli(*arguments, "run.resume=true", "train.checkpoint_every=3")
    assert done.status == 2 and len(done.errors) == 1, done.err
    assert "no space left for a checkpoint in" in done.err and "those before are whole" in done.err
    assert checkpoints(small_disk / "run") == before
    (small_disk / "ballast").unlink()
    done = cli(*arguments, "run.resume=true", "train.checkpoint_every=3")
    assert done.status == 0 and "resumed from step-00000012" in done.out, done.err


def test_a_disk_that_is_full_to_the_last_byte(config, small_disk):
    path = config()
    arguments = ["ctr", "--config", path, f"run.root={small_disk}"]
    assert cli(*arguments, "train.epochs=1").status == 0
    fill(small_disk, leave=0)
    done = cli(*arguments, "run.resume=true", "train.checkpoint_every=3")
    assert done.status == 2 and len(done.errors) == 1, done.err
    assert "no space left" in done.err and "free s" in done.err
    (small_disk / "ballast").unlink()
    assert cli(*arguments, "run.resume=true").status == 0


def test_each_rank_tells_its_own_part_of_a_failure(tmp_path):
    """torch gathers what went wrong on every rank, wraps a full disk in an error of its own, and raises all of it."""
    from torch.distributed.checkpoint.api import CheckpointException

    full, wrapped, other = OSError(28, "No space left on device"), RuntimeError("unexpected pos"), ValueError("bad")
    wrapped.__context__ = full

    def part(rank: int, failures: dict):
        checkpointer = Checkpointer(tmp_path, type("Ranks", (), {"rank": rank})(), keep=1)
        return checkpointer._own_part(CheckpointException("save", {r: (f, None) for r, f in failures.items()}))

    assert part(0, {0: wrapped}) is full and part(1, {0: other, 1: full}) is full and part(0, {0: other}) is other
    assert isinstance(part(1, {0: wrapped}), SystemExit) and part(1, {0: wrapped}).code == 2
    assert isinstance(part(1, {0: KeyboardInterrupt()}), KeyboardInterrupt)
