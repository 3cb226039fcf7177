"""The folder of checkpoints: what is kept, which is the best, what a kill or a loss of power leaves."""

import json
import os
from pathlib import Path

import pytest

from embeddings.errors import InputError
from tests.train.checkpoint.runs import checkpoints, resumed
from tests.train.launch import about, cli
from train.checkpoint.checkpoint_folder import CheckpointFolder
from train.checkpoint.checksums import read_progress


@pytest.fixture
def events(monkeypatch) -> list[tuple[str, str, str]]:
    """fsync, rename and remove in the order in which they come: what, path, new path."""
    calls: list[tuple[str, str, str]] = []
    syncing, renaming, replacing, removing = os.fsync, os.rename, os.replace, os.rmdir

    def fsync(handle: int) -> None:
        calls.append(("sync", os.readlink(f"/proc/self/fd/{handle}"), ""))
        syncing(handle)

    def rename(old, new, **more) -> None:
        calls.append(("name", str(old), str(new)))
        renaming(old, new, **more)

    def replace(old, new, **more) -> None:
        calls.append(("name", str(old), str(new)))
        replacing(old, new, **more)

    def rmdir(path, *, dir_fd=None) -> None:
        calls.append(("remove", Path(str(path)).name, ""))
        removing(path, dir_fd=dir_fd)

    for name, action in {"fsync": fsync, "rename": rename, "replace": replace, "rmdir": rmdir}.items():
        monkeypatch.setattr(os, name, action)
    return calls


def test_a_checkpoint_is_on_disk_before_it_has_its_name(config, tmp_path, events, monkeypatch):
    from train.ctr import task

    whole, values = task.compute_metrics, iter([0.5, 0.6, 0.6])  # the second epoch is the better one
    monkeypatch.setattr(task, "compute_metrics", lambda *a: whole(*a) | {"auc": next(values)})
    done = cli("ctr", "--config", config(), "train.epochs=2", "train.keep=1", "train.select=auc")
    assert done.status == 0, done.err
    folder = tmp_path / "runs" / "run" / "checkpoints"
    temporary, named = f"{folder}/.writing-step-00000024", f"{folder}/step-00000024"
    published = events.index(("name", temporary, named))
    before, after = events[:published], events[published + 1 :]
    files = sorted(os.listdir(named))
    assert len(files) >= 3 and "progress.json" in files
    on_disk = [path for what, path, _ in before if what == "sync"]
    for name in files:
        renamed = [old for what, old, new in before if (what, new) == ("name", f"{temporary}/{name}")]
        path = renamed[-1] if renamed else f"{temporary}/{name}"
        assert path in on_disk, f"{name} is not on disk when the checkpoint is named"
        if renamed:
            assert before.index(("sync", path, "")) < before.index(("name", path, f"{temporary}/{name}"))
    assert before[-1] == ("sync", temporary, ""), "the names in it come last"
    best = next(i for i, e in enumerate(after) if e[2] == f"{folder}/best.json")
    assert ("sync", str(folder), "") in after[:best] and ("sync", after[best][1], "") in after[:best]
    gone = next(i for i, e in enumerate(after) if e == ("remove", "step-00000012", ""))
    assert ("sync", str(folder), "") in after[best:gone], "best.json is named on disk before others are removed"


def test_keeps_the_newest_and_the_best(run):
    names = [n for n in checkpoints(run) if n.startswith("step-")]
    best = json.loads((run / "checkpoints" / "best.json").read_text())["checkpoint"]
    assert set(names) == {"step-00000016", "step-00000020", "step-00000024", best}


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
    (left / "rank-00000.safetensors").write_bytes(b"half")
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


def test_names_are_those_of_steps(tmp_path):
    folder = CheckpointFolder(tmp_path / "checkpoints", keep=2)
    assert folder.newest() is None and folder.best() is None
    for name in ("step-00000009", "step-00000010", ".writing-step-00000011"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    (tmp_path / "checkpoints" / "step-00000012").write_text("a file, not a checkpoint")
    assert folder.newest() == tmp_path / "checkpoints" / "step-00000010"
    with pytest.raises(InputError, match=r"is damaged: .*No such file"):
        read_progress(folder.newest())


@pytest.mark.parametrize(
    "content",
    [
        {"checkpoint": name}
        for name in ("../../other", "/etc", "..", "", "step-1", "step-00000001/..", "step-00000001\n", 7)
    ]
    + [{}, [], None, "step-00000001", {"checkpoint": {}}, {"checkpoint": "step-00000001", "more": 1}],
)
def test_best_json_names_a_checkpoint_beside_it(tmp_path, content):
    (tmp_path / "best.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"best.json' is damaged \(.*\); name a checkpoint instead of 'best'"):
        CheckpointFolder(tmp_path, keep=2).best()
