"""Random generators in a checkpoint: saved, restored, or seeded anew on other ranks and devices."""

import json
import types

import pytest
import torch

from tests.train.launch import cli, rows
from train.checkpoint import rng_state
from train.checkpoint.shards import whole_tensor
from train.distributed.ranks import Ranks


@pytest.mark.parametrize("saved", ["cpu", "cuda"])
@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_generators_go_on_where_there_are_as_many_of_the_same_kind(saved, world, device):
    progress = {"world_size": 2, "device": saved}
    ranks = Ranks(0, world, 0, world, torch.device(device))
    assert rng_state.has_rng_of(progress, ranks) is (world == 2 and saved == device)


def test_a_checkpoint_without_this_devices_generator_is_taken(config, tmp_path, monkeypatch):
    """As one of CPU on CUDA: the run asks for a generator's state that was never saved."""
    path, run = config(), tmp_path / "runs" / "run"
    one_epoch = ["ctr", "--config", path, "train.epochs=1"]
    assert cli(*one_epoch, "run.name=whole").status == 0
    assert cli(*one_epoch, "train.max_steps=5").status == 0
    about = run / "checkpoints" / "step-00000005" / "progress.json"
    progress = json.loads(about.read_text())
    assert progress["device"] == "cpu"
    about.write_text(json.dumps({**progress, "device": "another"}))
    here = rng_state.rng_shards
    monkeypatch.setattr(
        rng_state,
        "rng_shards",
        lambda ranks: [*here(ranks), whole_tensor("random.another.0", torch.zeros(8), replicated=False)],
    )
    done = cli(*one_epoch, "run.resume=true")
    assert done.status == 0 and "resumed from step-00000005" in done.out, done.err
    losses, undisturbed = ([r["loss"] for r in rows(folder)] for folder in (run, run.parent / "whole"))
    assert losses[:5] == undisturbed[:5] and len(losses) == len(undisturbed)
    assert losses[5:] != undisturbed[5:], "dropout has other random numbers"
    assert losses[5:] == pytest.approx(undisturbed[5:], abs=0.1)


def test_new_random_numbers_differ_by_rank_and_step():
    from train.checkpoint.rng_state import reseed

    def drawn(step: int, rank: int) -> float:
        reseed(-1, step, types.SimpleNamespace(rank=rank))
        return float(torch.rand(()))

    assert len({drawn(3, 0), drawn(3, 1), drawn(4, 0)}) == 3 and drawn(3, 1) == drawn(3, 1)


def test_a_rank_draws_on_as_if_it_had_not_stopped():
    ranks = Ranks(1, 2, 1, 2, torch.device("cpu"))
    (state,) = rng_state.rng_shards(ranks)
    assert (state.key, state.replicated) == ("random.cpu.1", False)
    drawn = torch.rand(4)
    rng_state.set_rng([state], ranks)
    assert torch.rand(4).equal(drawn)
