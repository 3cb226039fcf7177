"""A checkpoint of contrastive learning is taken by a run of the same rows alone."""

import json

import torch

from tests.train.launch import cli, one_line
from tests.train.scl.tiny import scl
from train.checkpoint import rng_state
from train.checkpoint.shards import whole_tensor


def test_another_folder_s_checkpoint_is_refused(config):
    assert scl(config, "train.max_steps=2").status == 0
    one_line(scl(config, "run.resume=true", "train.seed=5"), "the checkpoint was made of other rows: seed")
    one_line(scl(config, "run.resume=true", "model.width=9"), "is of another model")
    one_line(scl(config), "exists; set run.name")


def test_a_checkpoint_of_another_kind_of_device_is_taken(config, tmp_path, monkeypatch):
    run = tmp_path / "runs" / "run"
    assert cli("scl", "--config", config, "train.epochs=2", "train.max_steps=3").status == 0
    path = run / "checkpoints" / "step-00000003" / "progress.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "device": "another"}))
    here = rng_state.rng_shards
    another = whole_tensor("random.another.0", torch.zeros(8), replicated=False)
    monkeypatch.setattr(rng_state, "rng_shards", lambda ranks: [*here(ranks), another])
    done = cli("scl", "--config", config, "train.epochs=2", "run.resume=true")
    assert done.status == 0 and "resumed from step-00000003" in done.out, done.err
