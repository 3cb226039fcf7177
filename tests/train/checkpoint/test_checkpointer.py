"""Checkpoints on disk: what is kept, what a damaged one says, what a full disk leaves."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from embeddings.errors import InputError
from tests.train.launch import about, cli
from train.checkpoint.checkpoint_folder import CheckpointFolder
from train.checkpoint.checkpointer import Checkpointer
from train.checkpoint.checksums import read_progress


@pytest.fixture
def run(config, tmp_path) -> Path:
    """A run of 24 steps with checkpoints at 16, 20 and 24."""
    done = cli("ctr", "--config", config(), "train.checkpoint_every=4", "train.keep=3")
    assert done.status == 0, done.err
    return tmp_path / "runs" / "run"


def checkpoints(run: Path) -> list[str]:
    return sorted(p.name for p in (run / "checkpoints").iterdir())


def resumed(run: Path, *overrides: str):
    return cli("ctr", "--config", run.parent.parent / "run.yaml", "run.resume=true", "train.epochs=3", *overrides)


def test_whoever_may_read_new_files_may_read_all_of_a_run(run):
    mask = os.umask(0)
    os.umask(mask)
    closed = [str(p) for p in run.rglob("*") if p.is_file() and p.stat().st_mode & 0o444 & ~mask != 0o444 & ~mask]
    assert not closed


def test_keeps_the_newest_and_the_best(run):
    names = [n for n in checkpoints(run) if n.startswith("step-")]
    best = json.loads((run / "checkpoints" / "best.json").read_text())["checkpoint"]
    assert set(names) == {"step-00000016", "step-00000020", "step-00000024", best}


def test_a_run_without_a_test_waits_for_its_last_checkpoint(config, tmp_path, monkeypatch):
    whole = CheckpointFolder.publish
    monkeypatch.setattr(CheckpointFolder, "publish", lambda *a: (time.sleep(0.5), whole(*a)))
    done = cli("ctr", "--config", config(), "data.test=null", "train.epochs=1")
    assert done.status == 0, done.err
    assert checkpoints(tmp_path / "runs" / "run") == ["best.json", "step-00000012"]


def test_the_best_is_never_pruned(config, tmp_path, monkeypatch):
    from train.ctr import task

    values = iter([0.9, 0.5, 0.4, 0.3, 0.2])
    whole = task.compute_metrics
    monkeypatch.setattr(task, "compute_metrics", lambda *a: whole(*a) | {"auc": next(values)})
    done = cli("ctr", "--config", config(), "train.epochs=4", "train.checkpoint_every=5", "train.keep=1")
    assert done.status == 0, done.err
    run = tmp_path / "runs" / "run"
    assert checkpoints(run) == ["best.json", "step-00000012", "step-00000048"]
    assert json.loads((run / "checkpoints" / "best.json").read_text()) == {"checkpoint": "step-00000012"}
    assert json.loads((run / "evaluation" / "test.json").read_text())["epoch"] == 1 == about(run)["best_epoch"]


def test_leftovers_of_an_interrupted_write_are_ignored_and_cleared(run):
    left = run / "checkpoints" / ".writing-step-00000099"
    left.mkdir()
    (left / "__0_0.distcp").write_bytes(b"half")
    done = resumed(run)
    assert done.status == 0 and "resumed from step-00000024" in done.out, done.err
    assert not [n for n in checkpoints(run) if n.startswith(".")]


def test_a_kill_between_the_two_names_of_a_step_that_is_saved_again(config, tmp_path, monkeypatch):
    """The last step's checkpoint gives way to the one that knows its validation, and is all there is in between."""
    path, folder = config(), tmp_path / "runs" / "run" / "checkpoints"
    settings = ["ctr", "--config", path, "train.epochs=1", "train.checkpoint_every=12", "train.keep=1"]
    rename = os.rename

    def kill(old, new):
        if os.path.basename(old) == ".writing-step-00000012" and folder.joinpath(".writing-old-step-00000012").exists():
            raise KeyboardInterrupt
        rename(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", kill)
        assert cli(*settings).status == 130
    assert [p.name for p in folder.iterdir()] == [".writing-old-step-00000012"]
    done = cli(*settings, "run.resume=true")
    assert done.status == 0 and "resumed from step-00000012: epoch 1, step 12" in done.out, done.err
    assert sorted(p.name for p in folder.iterdir()) == ["best.json", "step-00000012"]


def damage_missing(path: Path) -> None:
    path.unlink()


def damage_cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_empty(path: Path) -> None:
    path.write_bytes(b"")


def damage_one_bit(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)


FILES = ["progress.json", ".metadata", "__0_0.distcp"]
DAMAGES = [(d, f) for d in (damage_missing, damage_cut, damage_empty) for f in FILES]
DAMAGES += [(damage_one_bit, f) for f in FILES[1:]]  # progress.json holds the checksums, and has none


@pytest.mark.parametrize(("damage", "name"), DAMAGES)
def test_a_damaged_checkpoint(run, damage, name):
    """Scoring refuses it in one line; resuming says so, sets it aside, and goes on from the one before."""
    newest = run / "checkpoints" / "step-00000024"
    damage(newest / name)
    done = cli("evaluate", run, "--checkpoint", "newest")
    assert done.status == 2 and len(done.errors) == 1, done
    assert "step-00000024' is damaged: " in done.err and "remove it or name another" in done.err, done.err
    done = resumed(run)
    assert done.status == 0 and "resumed from step-00000020: epoch 2, step 20" in done.out, done
    words = [line for line in done.errors if "damaged" in line]
    assert len(words) == 1 and "it is now 'damaged-step-00000024', and the one before is used" in words[0], done.err
    assert "damaged-step-00000024" in checkpoints(run) and checkpoints(run)[-1] == "step-00000036"
    assert cli("evaluate", run, "--checkpoint", "newest").status == 0


def test_all_checkpoints_damaged(run):
    for path in (run / "checkpoints").glob("step-*"):
        damage_cut(path / ".metadata")
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


def test_what_a_checkpoint_says_of_its_run(run):
    newest = run / "checkpoints" / "step-00000024"
    progress = json.loads((newest / "progress.json").read_text())
    assert progress["config"]["train"]["keep"] == 3 and progress["config"]["data"]["batch_size"] == 32
    assert progress["plan"] == json.loads((run / "plan.json").read_text())
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert progress["metrics"]["evaluation"] == [r for r in rows if r["kind"] == "evaluation"][-1]
    assert progress["metrics"]["train"] == [r for r in rows if r["kind"] == "train"][-1]
    assert set(progress["files"]) == {p.name for p in newest.iterdir()} - {"progress.json"}


def test_a_damaged_best_json(run):
    (run / "checkpoints" / "best.json").write_text('{"check')
    done = cli("evaluate", run)
    assert done.status == 2 and "best.json' is damaged" in done.err and "name a checkpoint instead" in done.err
    (run / "checkpoints" / "best.json").write_text('{"checkpoint": "step-00000007"}')
    done = cli("evaluate", run)
    assert done.status == 2 and "has no checkpoint 'best'; there are: ['step-" in done.err
    (run / "checkpoints" / "best.json").unlink()
    assert cli("evaluate", run).status == 2
    assert cli("evaluate", run, "--checkpoint", "newest").status == 0


def test_a_store_that_changed_is_refused(config, tmp_path):
    import numpy as np

    from embeddings.frozen.store import build_store
    from tests.train import tiny

    folder = tiny.make_data(tmp_path / "own", train_rows=64)
    run = tmp_path / "runs" / "run"
    path = config(folder)
    assert cli("ctr", "--config", path).status == 0
    for width in (tiny.WIDTH, 2 * tiny.WIDTH):
        vectors = np.random.default_rng(1).normal(size=(tiny.ITEMS, width))
        store = build_store(str(folder / "frozen" / "text"), np.arange(tiny.ITEMS), vectors, overwrite=True)
        out = tmp_path / "scores"
        again = ["ctr", "--config", path, "run.resume=true", "train.epochs=3"]
        for arguments in (["evaluate", run], ["predict", run, "--out", out], again):
            done = cli(*arguments)
            assert done.status == 2 and len(done.errors) == 1, done.err
            assert (
                f"frozen store '{store.path}' has checksum {store.checksum}, but the run was trained with" in done.err
            )
            assert "bring that store back, or train again" in done.err
        assert not out.exists()


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


def test_names_are_those_of_steps(tmp_path):
    folder = CheckpointFolder(tmp_path / "checkpoints", keep=2)
    assert folder.newest() is None and folder.best() is None
    for name in ("step-00000009", "step-00000010", ".writing-step-00000011"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    (tmp_path / "checkpoints" / "step-00000012").write_text("a file, not a checkpoint")
    assert folder.newest() == tmp_path / "checkpoints" / "step-00000010"
    with pytest.raises(InputError, match=r"is damaged: .*No such file"):
        read_progress(folder.newest())


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
