"""Bad input and signals in one process: one clear line, the right exit status, and nothing half-written."""

import errno
import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.train import tiny
from tests.train.launch import about, cli, one_line, rows
from train.run import trainer as loop


def test_a_run_folder_that_exists(config, tmp_path):
    path = config()
    assert cli("ctr", "--config", path, "train.max_steps=1").status == 0
    before = about(tmp_path / "runs" / "run")
    one_line(cli("ctr", "--config", path), "runs/run' exists; set run.name to another name", "run.overwrite=true to")
    assert about(tmp_path / "runs" / "run") == before


def test_overwriting_waits_until_the_new_run_can_begin(config, tmp_path, own_data):
    path, run = config(own_data), tmp_path / "runs" / "run"
    assert cli("ctr", "--config", path, "train.max_steps=2").status == 0
    for mistake in ("data.path=nowhere", "data.train=nosuch", "sharding.tables.usr.sharding_types=[row_wise]"):
        assert cli("ctr", "--config", path, "run.overwrite=true", mistake).status == 2
        assert about(run)["status"] == "done" and len(rows(run)) == 2, mistake
    assert cli("ctr", "--config", path, "run.overwrite=true", "train.max_steps=1").status == 0
    assert len(rows(run)) == 1 and [p.name for p in (run / "checkpoints").glob("step*")] == ["step-00000001"]


def test_overwriting_something_that_is_no_run(config, tmp_path):
    (tmp_path / "runs" / "run").mkdir(parents=True)
    (tmp_path / "runs" / "run" / "thesis.txt").write_text("precious")
    one_line(
        cli("ctr", "--config", config(), "run.overwrite=true"), "holds no run, and run.overwrite deletes runs only"
    )
    assert (tmp_path / "runs" / "run" / "thesis.txt").read_text() == "precious"
    (tmp_path / "runs" / "file").write_text("")
    one_line(cli("ctr", "--config", config(), "run.name=file"), "runs/file' is a file")


def test_a_run_that_could_not_begin_can_be_repeated(config, own_data):
    path = config(own_data)
    shutil.move(own_data / "validation", own_data / "hidden")
    one_line(cli("ctr", "--config", path), "split 'validation' is not in")
    shutil.move(own_data / "hidden", own_data / "validation")
    assert cli("ctr", "--config", path, "train.max_steps=1").status == 0


@pytest.mark.parametrize("log_every", [1, 50])
def test_a_loss_that_is_not_finite(config, tmp_path, own_data, log_every):
    path, run = config(own_data), tmp_path / "runs" / "run"
    settings = [f"train.log_every={log_every}", "train.checkpoint_every=2", "data.shuffle_rows=0"]
    assert cli("ctr", "--config", path, *settings, "train.max_steps=4").status == 0
    again = ["ctr", "--config", path, *settings, "run.resume=true"]
    done = cli(*again, "dense_optimizer.lr=1e30", "train.clip_grad_norm=null")
    one_line(done, "run.resume=true goes on from the last checkpoint")
    assert "the loss is not finite at step " in done.err, done.err
    step = int(done.err.split("at step ")[1].split(":")[0])
    batch = step - 1  # of the first epoch
    assert (
        f"split 'train', epoch 1, batch {batch}, file '{own_data}/train/part-0.parquet', row group {batch // 2};"
        in done.err
    )
    assert about(run)["status"] == "failed"
    done = cli(*again)  # no checkpoint holds bad weights
    assert done.status == 0 and all(np.isfinite(r["loss"]) for r in rows(run))


def test_weights_that_a_step_made_bad_are_not_saved(config, tmp_path, monkeypatch):
    log, run = loop.Trainer._log, tmp_path / "runs" / "run"

    def break_weights(self, bar):
        log(self, bar)  # the loss of this step was fine
        if self.state.step == 4:
            next(self.task.trainable.model.module.dense.parameters()).data.fill_(np.inf)

    monkeypatch.setattr(loop.Trainer, "_log", break_weights)
    done = cli("ctr", "--config", config(), "train.checkpoint_every=2")
    one_line(done, "the weights are not finite after step 4; look for extreme values", "run.resume=true goes on from")
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["step-00000002"]


def test_dense_values_at_the_edge_of_float32(config, tmp_path, own_data):
    for row in range(64, 128):
        tiny.spoil(own_data, "price", 3.4e38, row)
    settings = ["data.shuffle_rows=0", "train.checkpoint_every=1", "model.interaction=dcn", "model.cross_rank=4"]
    done = cli("ctr", "--config", config(own_data), *settings)
    one_line(done, "the loss is not finite at step 3: split 'train', epoch 1, batch 2,", "look for extreme values")
    assert about(tmp_path / "runs" / "run")["status"] == "failed"
    kept = sorted(p.name for p in (tmp_path / "runs" / "run" / "checkpoints").glob("step*"))
    assert kept == ["step-00000001", "step-00000002"]  # the values are in the third batch


def test_a_metric_that_validation_cannot_give(config, own_data, tmp_path):
    table = pq.read_table(own_data / "validation" / "part-0.parquet")
    zeros = np.zeros(table.num_rows, np.int8)
    tiny.write_split(own_data, "validation", table.set_column(0, "label", [zeros]))
    done = cli("ctr", "--config", config(own_data), "train.max_steps=1")
    one_line(done, "validation split 'validation' gives no auc", "(200 rows, 0 positive); set train.select to another")


def test_items_without_a_vector_above_the_limit(config, own_data, tmp_path):
    from embeddings.frozen.store import build_store

    few = np.arange(tiny.ITEMS)[::3]
    build_store(str(own_data / "frozen" / "text"), few, np.eye(tiny.ITEMS, tiny.WIDTH)[:20] + 1, overwrite=True)
    done = cli("ctr", "--config", config(own_data))
    one_line(done, "modality 'text'", "item lookups have no vector", "at most 50.0% are allowed", "max_missing")
    assert about(tmp_path / "runs" / "run")["status"] == "failed"


def test_a_row_that_cannot_be_used_ends_the_run(config, own_data, tmp_path):
    tiny.spoil(own_data, "item", tiny.ITEMS, 300)
    done = cli("ctr", "--config", config(own_data), "data.shuffle_rows=0", "train.checkpoint_every=5")
    one_line(done, "row group 4, feature 'item': got id 60 (1 such), allowed are 0 to 59")
    assert about(tmp_path / "runs" / "run")["status"] == "failed"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "error: no space left on device: 'somewhere'; free some space, then run again"),
        (errno.EACCES, "error: permission denied: 'somewhere'; check the place and its permissions, then run again"),
        (errno.EROFS, "error: read-only file system: 'somewhere'; check the place"),
    ],
)
def test_what_the_system_refuses_is_one_line(config, tmp_path, monkeypatch, number, words):
    def refuse(*arguments):
        raise OSError(number, os.strerror(number), "somewhere")

    monkeypatch.setattr("train.run.run_folder.RunFolder.log", refuse)
    one_line(cli("ctr", "--config", config(), "train.max_steps=1"), words)
    assert about(tmp_path / "runs" / "run")["status"] == "failed"


def test_the_cause_is_told_where_the_end_cannot_be_written_either(config, own_data, monkeypatch):
    def refuse(self, status):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "run.json")

    tiny.spoil(own_data, "item", tiny.ITEMS, 300)
    monkeypatch.setattr(loop.Trainer, "end", refuse)
    one_line(cli("ctr", "--config", config(own_data)), "feature 'item': got id 60 (1 such)")


def test_other_system_errors_are_defects(config, monkeypatch):
    def fail(*arguments):
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    monkeypatch.setattr("train.run.run_folder.RunFolder.log", fail)
    with pytest.raises(OSError):
        cli("ctr", "--config", config(), "train.max_steps=1")


def test_a_read_only_place(config, tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(place)], capture_output=True).returncode:
        pytest.skip("cannot mount a read-only file system; needs root")
    try:
        one_line(cli("ctr", "--config", config(), f"run.root={place}/runs"), "read-only file system")
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize(
    ("number", "status", "word", "kept"),
    [(signal.SIGINT, 130, "interrupted", 6), (signal.SIGTERM, 143, "terminated", 8)],
)
def test_a_signal_in_the_middle(config, tmp_path, monkeypatch, number, status, word, kept):
    """^C ends the run at once; SIGTERM saves first, after the step that it finds running."""
    log, before = loop.Trainer._log, signal.getsignal(signal.SIGTERM)

    def strike(self, bar):
        log(self, bar)
        if self.state.step == 7:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(loop.Trainer, "_log", strike)
    path, run = config(), tmp_path / "runs" / "run"
    one_line(cli("ctr", "--config", path, "train.checkpoint_every=3"), word, status=status)
    assert about(run)["status"] == "interrupted"
    assert signal.getsignal(signal.SIGTERM) is before
    monkeypatch.undo()
    done = cli("ctr", "--config", path, "run.resume=true", "train.checkpoint_every=3")
    assert done.status == 0 and f"resumed from step-{kept:08d}" in done.out


def test_sigterm_that_cannot_be_honoured_in_time(config, tmp_path, monkeypatch):
    log, run = loop.Trainer._log, tmp_path / "runs" / "run"

    def strike(self, bar):
        log(self, bar)
        if self.state.step == 7:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)

    monkeypatch.setattr(loop.Trainer, "_log", strike)
    done = cli("ctr", "--config", config(), "train.checkpoint_every=3", "process.grace_s=4")
    one_line(done, "terminated", status=143)
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["step-00000003", "step-00000006"]


def test_checkpoints_by_the_clock(config, tmp_path, monkeypatch):
    from train.run import checkpoint_schedule

    now = iter(range(0, 100_000, 20))
    monkeypatch.setattr(checkpoint_schedule.time, "monotonic", lambda: next(now))
    monkeypatch.setattr("train.run.checkpoint_schedule.Consensus.due", lambda self: True)
    done = cli("ctr", "--config", config(), "train.checkpoint_minutes=1", "train.epochs=1", "train.keep=99")
    assert done.status == 0, done.err
    kept = sorted(int(p.name[5:]) for p in (tmp_path / "runs" / "run" / "checkpoints").glob("step*"))
    assert len(kept) > 2 and all(b - a <= 4 for a, b in zip([0, *kept], kept, strict=False)), kept


def test_a_signal_while_a_checkpoint_is_written(config, tmp_path, monkeypatch):
    """The run ends once the checkpoint is whole."""
    import torch.distributed.checkpoint.filesystem as disk

    write, path, run = disk.FileSystemWriter.write_data, config(), tmp_path / "runs" / "run"

    def strike(self, *arguments):
        if "step-00000006" in str(self.path):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        return write(self, *arguments)

    monkeypatch.setattr(disk.FileSystemWriter, "write_data", strike)
    one_line(cli("ctr", "--config", path, "train.checkpoint_every=3"), "interrupted", status=130)
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == ["step-00000003", "step-00000006"]
    assert about(run)["status"] == "interrupted"
    done = cli("ctr", "--config", path, "run.resume=true", "train.checkpoint_every=3")
    assert done.status == 0 and "resumed from step-00000006" in done.out


def test_a_checkpoint_that_takes_longer_than_the_grace(config, tmp_path, monkeypatch):
    import torch.distributed.checkpoint.filesystem as disk

    write, path, run = disk.FileSystemWriter.write_data, config(), tmp_path / "runs" / "run"

    def strike(self, *arguments):
        if "step-00000006" in str(self.path):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(4)
        return write(self, *arguments)

    monkeypatch.setattr(disk.FileSystemWriter, "write_data", strike)
    done = cli("ctr", "--config", path, "train.checkpoint_every=3", "process.grace_s=1")
    assert done.status == 130 and "a checkpoint was not written within 1 s; those before are whole" in done.err
    assert sorted(p.name for p in (run / "checkpoints").glob("step*")) == ["step-00000003"]
    monkeypatch.undo()
    done = cli("ctr", "--config", path, "run.resume=true", "train.checkpoint_every=3")
    assert done.status == 0 and "resumed from step-00000003" in done.out
