"""Tables in host memory whose rows a device caches: neither loading nor a reset may let the cache have the last word.

There is no such cache on CPU. One is played here: TorchRec writes it back whenever a state_dict is asked for, and
empties it where one is loaded.
"""

import json

import pytest
import torch
from torch.distributed._shard.sharded_tensor import ShardedTensor

from tests.train.end_to_end.ctr.test_resume import PLAN
from tests.train.launch import cli
from train.ctr import task
from train.run import trainer as loop

STALE = 9.0


def shards(model: torch.nn.Module) -> list[torch.Tensor]:
    """The weights of sharded tables."""
    return [s.tensor for v in model.state_dict().values() if isinstance(v, ShardedTensor) for s in v.local_shards()]


def cache(model: torch.nn.Module) -> dict[str, bool]:
    """Give the model's tables a cache that holds all rows; whether it holds anything."""
    weights, state = shards(model), {"holds": True}
    assert len(weights) == 2, "the third table is replicated"

    def flush() -> None:
        for weight in weights if state["holds"] else ():
            weight.detach().fill_(STALE)

    lookups = [lookup for m in model.modules() for lookup in getattr(m, "_lookups", ())]
    for lookup in lookups:
        kernels = getattr(lookup, "module", lookup)  # of a replicated table
        kernels.flush, kernels.purge = flush, lambda: state.update(holds=False)
    return state


@pytest.mark.parametrize("then", ["tested", "trained"])
def test_weights_that_are_loaded_are_those_of_the_checkpoint(config, tmp_path, monkeypatch, then):
    path, runs = config(), tmp_path / "runs"
    test, build = loop.Trainer.test, task.build
    settings = ["ctr", "--config", path, *PLAN]
    assert cli(*settings, "run.name=whole").status == 0
    if then == "tested":
        monkeypatch.setattr(loop.Trainer, "test", lambda run: (cache(run.task.trainable.model), test(run)))
    else:
        assert cli(*settings, "train.max_steps=5").status == 0

        def built(*arguments):
            trainable = build(*arguments)
            cache(trainable.model)
            return trainable

        monkeypatch.setattr(task, "build", built)
    done = cli(*settings, *["run.resume=true"] * (then == "trained"))
    assert done.status == 0, done.err
    ours, whole = (json.loads((runs / n / "evaluation" / "test.json").read_text()) for n in ("run", "whole"))
    assert ours == whole


def test_a_reset_table_begins_anew(config, monkeypatch):
    reset, seen = task.reset_tables, []

    def watched(trainable, seed, epoch):
        state = cache(trainable.model)
        reset(trainable, seed, epoch)
        seen.append((state["holds"], [float(w.abs().max()) for w in shards(trainable.model)]))

    monkeypatch.setattr(task, "reset_tables", watched)
    done = cli("ctr", "--config", config(), *PLAN, "train.reset_tables=each_epoch")
    assert done.status == 0, done.err
    ((holds, largest),) = seen
    assert not holds and all(0 < value < 1 for value in largest), largest
