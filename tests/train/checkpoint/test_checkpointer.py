"""Checkpoints of a run: written beside it, all damaged, on a full disk; failures of several ranks."""

import errno
import json
import os
import subprocess
import time
from pathlib import Path

import pytest
import torch

from embeddings.errors import InputError
from tests.train.checkpoint.runs import checkpoints, cut, resumed
from tests.train.launch import cli, finished, start_bare_ranks
from train.checkpoint.checkpoint_folder import CheckpointFolder
from train.checkpoint.checkpointer import Checkpointer
from train.checkpoint.shards import whole_tensor


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
        cut(path / "index.json")
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
    """A file system of 16 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("cannot mount a small file system; needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, leave: int) -> None:
    with pytest.raises(OSError), open(disk / "ballast", "wb", buffering=0) as filler:
        while filler.write(bytes(4096)) == 4096:
            pass
    os.truncate(disk / "ballast", (disk / "ballast").stat().st_size - leave)


WIDE = "model.embedding_dim=4096"  # checkpoints of 2 MiB, two of the writer's blocks


@pytest.mark.parametrize("leave_kib", [16, 1500])  # rows of metrics fit, a checkpoint does not; a block of it does
def test_a_full_disk_leaves_the_checkpoints_before_whole(config, small_disk, leave_kib):
    path = config()
    arguments = ["ctr", "--config", path, f"run.root={small_disk}", WIDE]
    assert cli(*arguments, "train.epochs=1").status == 0
    before = checkpoints(small_disk / "run")
    assert sum(p.stat().st_size for p in (small_disk / "run" / "checkpoints").rglob("*") if p.is_file()) > 2 << 20
    fill(small_disk, leave=leave_kib << 10)
    done = cli(*arguments, "run.resume=true", "train.checkpoint_every=3")
    assert done.status == 2 and len(done.errors) == 1, done.err
    assert f"no space left for a checkpoint in '{small_disk / 'run' / 'checkpoints'}'" in done.err
    assert "those before are whole" in done.err and checkpoints(small_disk / "run") == before
    (small_disk / "ballast").unlink()
    done = cli(*arguments, "run.resume=true", "train.checkpoint_every=3")
    assert done.status == 0 and "resumed from step-00000012" in done.out, done.err


def test_a_rank_that_finds_the_disk_full_says_so_for_both(small_disk):
    """Each writes 5 MiB where 8 are left: one may have room, the other has not."""
    fill(small_disk, leave=8 << 20)
    both = start_bare_ranks(2, small_disk, module="tests.train.checkpoint.full_disk_rank")
    told = [json.loads(done.out.splitlines()[-1]) for done in map(finished, both)]
    words = [line for line in told if line["error"] is not None]
    assert len(words) == 1 and "no space left for a checkpoint in" in words[0]["error"], told
    assert [line["then"] for line in told] == [["step-00000001", "step-00000003"]] * 2, told


def test_a_disk_that_is_full_to_the_last_byte(config, small_disk):
    path = config()
    arguments = ["ctr", "--config", path, f"run.root={small_disk}", WIDE]
    assert cli(*arguments, "train.epochs=1").status == 0
    fill(small_disk, leave=0)
    done = cli(*arguments, "run.resume=true", "train.checkpoint_every=3")
    assert done.status == 2 and len(done.errors) == 1, done.err
    assert "no space left" in done.err and "free s" in done.err
    (small_disk / "ballast").unlink()
    assert cli(*arguments, "run.resume=true").status == 0


class Large:
    """A state of 5 MiB."""

    def shards(self):
        return [whole_tensor("model.weight", torch.ones(5 << 18))]

    def layout(self):
        return {}

    def restore(self, read, progress):
        read(self.shards())


def save(checkpointer: Checkpointer, step: int) -> None:
    checkpointer.save(Large(), {"step": step}, best=False)
    checkpointer.finish()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG, errno.ESTALE])
@pytest.mark.parametrize("blocks", [0, 1, 3, 5])  # that are taken before; the last is at the end of the file
def test_a_disk_that_takes_no_more_is_one_line(tmp_path, ranks, monkeypatch, blocks, number):
    checkpointer, write, left = Checkpointer(tmp_path, ranks, keep=3), os.write, blocks
    save(checkpointer, 1)

    def limited(handle: int, data: memoryview) -> int:
        nonlocal left
        if ".writing-" not in os.readlink(f"/proc/self/fd/{handle}"):
            return write(handle, data)
        left -= 1
        if left < 0:
            raise OSError(number, os.strerror(number))
        return write(handle, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", limited)
        with pytest.raises(InputError) as error:
            save(checkpointer, 2)
    full = number in (errno.ENOSPC, errno.EDQUOT)
    words = "no space left for a checkpoint in" if full else "a checkpoint cannot be written to"
    assert str(error.value).startswith(f"{words} '{tmp_path / 'checkpoints'}'") and os.strerror(number) in (
        str(error.value) if not full else os.strerror(number)
    )
    assert "those before are whole" in str(error.value) and error.value.status == 2
    assert checkpoints(tmp_path) == ["step-00000001"], "nothing half-written is left"
    save(checkpointer, 3)
    assert checkpoints(tmp_path) == ["step-00000001", "step-00000003"]
    checkpointer.load(checkpointer.folder.newest(), Large())


def test_a_folder_that_is_gone_is_one_line_too(tmp_path, ranks):
    checkpointer = Checkpointer(tmp_path / "run", ranks, keep=3)
    (tmp_path / "run").write_text("a file")
    with pytest.raises(InputError, match=r"a checkpoint cannot be written to '.*/run/checkpoints': Not a directory"):
        save(checkpointer, 1)
