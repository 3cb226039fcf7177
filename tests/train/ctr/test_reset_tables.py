"""Tables that begin anew with every epoch: what is reset, what goes on, and a run that is resumed."""

import pytest
from torch.distributed._shard.sharded_tensor import ShardedTensor

from embeddings.initialise import initialise_tables
from tests.train.end_to_end.ctr.test_resume import PLAN, STEPS, evaluations, figures
from tests.train.launch import cli
from train.ctr import task
from train.ctr.accumulators import accumulators

RESET = "train.reset_tables=each_epoch"


def trained(config, *overrides):
    done = cli("ctr", "--config", config, *PLAN, RESET, *overrides)
    assert done.status == 0, done.err
    return done


@pytest.mark.parametrize("optimizer", ["rowwise_adagrad", "adagrad", "sgd"])
def test_tables_and_accumulators_are_new_and_the_rest_goes_on(config, monkeypatch, optimizer):
    seen = []

    def state(trainable):
        optimizer = trainable.optimizer.state_dict()
        weights = trainable.model.state_dict()
        tables = {k: _local(v).clone() for k, v in weights.items() if k.startswith("sparse.")}
        dense = {k: v.clone() for k, v in weights.items() if k.startswith("dense.")}
        dense |= {f"{n} {k}": v.clone() for n, s in optimizer["state"].items() if n.startswith("dense.")
                  for k, v in s.items()}  # fmt: skip
        return tables, dense, [a.tensor.clone() for a in accumulators(trainable, optimizer)]

    reset = task.reset_tables

    def watched(trainable, seed, epoch):
        before = state(trainable)
        reset(trainable, seed, epoch)
        seen.append((epoch, before, state(trainable)))
        initialise_tables(trainable.model, seed, epoch)
        assert all(v.equal(seen[-1][2][0][k]) for k, v in state(trainable)[0].items())

    monkeypatch.setattr(task, "reset_tables", watched)
    trained(config(), "train.epochs=3", f"sparse_optimizer.name={optimizer}")
    assert [epoch for epoch, _, _ in seen] == [1, 2]
    for _, (tables, dense, sums), (new_tables, new_dense, new_sums) in seen:
        assert len(tables) == 3 and len(sums) == (0 if optimizer == "sgd" else 3)
        assert not any(v.equal(new_tables[k]) for k, v in tables.items())
        assert dense and all(v.equal(new_dense[k]) for k, v in dense.items())
        assert all(s.any() for s in sums) and not any(s.any() for s in new_sums)
    assert not any(v.equal(seen[1][2][0][k]) for k, v in seen[0][2][0].items()), "every epoch has weights of its own"


def _local(value):
    return value.local_shards()[0].tensor if isinstance(value, ShardedTensor) else value


def test_never_resets_nothing(config, monkeypatch):
    monkeypatch.setattr(task, "reset_tables", lambda *arguments: pytest.fail("reset"))
    done = cli("ctr", "--config", config(), *PLAN)
    assert done.status == 0, done.err


@pytest.mark.parametrize("steps", [STEPS - 1, STEPS, STEPS + 1, STEPS + 7])
def test_resumed_equals_uninterrupted(config, tmp_path, steps):
    path, runs = config(), tmp_path / "runs"
    trained(path, "run.name=whole")
    trained(path, f"train.max_steps={steps}")
    trained(path, "run.resume=true")
    assert figures(runs / "run") == figures(runs / "whole") and len(figures(runs / "run")) == 2 * STEPS
    assert evaluations(runs / "run")["test"] == evaluations(runs / "whole")["test"]


def test_no_second_reset_where_a_larger_batch_begins_inside_its_first(config, tmp_path, monkeypatch):
    path = config()
    trained(path, f"train.max_steps={STEPS + 1}")
    monkeypatch.setattr(task, "reset_tables", lambda *arguments: pytest.fail("reset inside an epoch"))
    trained(path, "run.resume=true", "data.batch_size=64", "data.workers=1")
