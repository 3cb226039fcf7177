"""Input that a run of ctr refuses or ends at: one clear line, the right exit status, and nothing half-written."""

import shutil

import numpy as np
import pytest

from tests.train import tiny
from tests.train.launch import about, cli, one_line, rows
from train.run import trainer as loop


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
