"""What a loss of power leaves: a name is given to what is on disk, and is on disk before what it replaces is gone."""

import os
from pathlib import Path

import pytest

from tests.train.launch import cli


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


def test_a_checkpoint_is_on_disk_before_it_has_its_name(config, tmp_path, events):
    done = cli("ctr", "--config", config(), "train.epochs=1", "train.keep=1", "train.checkpoint_every=5")
    assert done.status == 0, done.err
    folder = tmp_path / "runs" / "run" / "checkpoints"
    temporary, named = f"{folder}/.writing-step-00000012", f"{folder}/step-00000012"
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
    gone = next(i for i, e in enumerate(after) if e == ("remove", "step-00000010", ""))
    assert ("sync", str(folder), "") in after[best:gone], "best.json is named on disk before others are removed"
