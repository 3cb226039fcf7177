"""A CTR task in this process, without its trainer: its weights before and after steps."""

from pathlib import Path

import pytest
import torch
from torch.distributed._shard.sharded_tensor import ShardedTensor

from train.ctr.config import load_config
from train.ctr.task import CTRTask
from train.distributed.ranks import Ranks
from train.run.trainer_state import TrainerState

Weights = dict[str, torch.Tensor]
# What torch and TorchRec say of each other; a command's process group silences it, pytest turns it on for each test.
QUIET = pytest.mark.filterwarnings(
    "ignore:Please use DTensor instead:FutureWarning",
    "ignore:`broadcast_buffers` is deprecated:FutureWarning",
    r"ignore:`torch.distributed.\w+_tensor` is deprecated:FutureWarning",
    "ignore:fbgemm..dense_embedding_codegen_lookup_function:UserWarning",
)


def build_task(path: Path, ranks: Ranks, *overrides: str) -> CTRTask:
    """The task of a config, on ranks that are there."""
    return CTRTask(load_config(str(path), overrides), ranks)


def weights(task: CTRTask) -> Weights:
    """A copy of all weights by name, of tables this rank's first shard."""
    state = task.trainable.model.state_dict()
    return {k: (v.local_shards()[0].tensor if isinstance(v, ShardedTensor) else v).clone() for k, v in state.items()}


def trained(task: CTRTask, steps: int) -> list[Weights]:
    """The weights before the first step and after each of ``steps``."""
    state, result = TrainerState(), [weights(task)]
    batches = task.batches(state)
    try:
        for _ in range(steps):
            task.step(batches, state)
            state.step, state.batch = state.step + 1, state.batch + 1
            result.append(weights(task))
    finally:
        batches.close()
        task.epoch_trained()
    return result


def first_change(task: CTRTask) -> Weights:
    """What the first step adds to each of the weights."""
    before, after = trained(task, 1)
    return {name: after[name] - value for name, value in before.items()}
