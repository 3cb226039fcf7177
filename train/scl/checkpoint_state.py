"""What a checkpoint of contrastive learning holds: encoders, optimizer, momentum encoder, memory bank."""

from collections.abc import Callable
from typing import Any

import torch

from embeddings.errors import InputError
from recsys.scl.memory_bank import MemoryBank
from train.checkpoint.shards import TensorShard, whole_tensor
from train.run.trainer_state import RunProgress
from train.scl.build import same_buffers
from train.scl.trainable import SCLTrainable


class SCLProgress(RunProgress):
    """``reader``: what its rows depend on."""

    reader: dict[str, Any]


class SCLCheckpointState:
    """A trainable as the checkpointer takes it (``Checkpointable``).

    model.NAME, twin.NAME      parameters and buffers; twin is the momentum encoder
    optimizer.NAME.STATE       AdamW's
    bank.NAME                  [K, ...], each rank's rows a shard
    """

    def __init__(self, trainable: SCLTrainable) -> None:
        self._trainable = trainable

    def shards(self) -> list[TensorShard]:
        same_buffers(self._trainable.towers)
        return _weights(self._trainable) + _optimizer(self._trainable) + _bank(self._trainable.bank)

    def layout(self) -> dict[str, Any]:
        return {}

    def restore(self, read: Callable[[list[TensorShard]], None], progress: dict[str, Any] | None) -> None:
        """Fill everything, or the encoders' weights alone where ``progress`` is None.

        Another number of ranks takes its shares of the bank's rows; which of them is overwritten next then differs.
        """
        trainable = self._trainable
        if progress is None:
            read(_weights(trainable)[: len(trainable.towers.state_dict())])
            return
        _fill_optimizer(trainable.optimizer)
        read(_weights(trainable) + _optimizer(trainable) + _bank(trainable.bank))
        if trainable.bank is not None:
            trainable.bank.queue_ptr.remainder_(trainable.bank.queue.size(0))


def _weights(trainable: SCLTrainable) -> list[TensorShard]:
    """The encoders' first, then those of the momentum encoder."""
    shards = [whole_tensor(f"model.{name}", value) for name, value in trainable.towers.state_dict().items()]
    if trainable.momentum_encoder is not None:
        shards += [
            whole_tensor(f"twin.{name}", value) for name, value in trainable.momentum_encoder.state_dict().items()
        ]
    return shards


def _optimizer(trainable: SCLTrainable) -> list[TensorShard]:
    names: dict[torch.Tensor, str] = {parameter: name for name, parameter in trainable.towers.named_parameters()}
    return [
        whole_tensor(f"optimizer.{names[parameter]}.{key}", value)
        for parameter, values in trainable.optimizer.state.items()
        for key, value in values.items()
    ]


def _bank(bank: MemoryBank | None) -> list[TensorShard]:
    if bank is None:
        return []
    ranks = bank.group.size() if bank.group is not None else 1
    rank = bank.group.rank() if bank.group is not None else 0
    shards = [whole_tensor("bank.queue_ptr", bank.queue_ptr)]
    for name in ("queue", "items", "filled"):
        tensor = getattr(bank, name)
        rows, *rest = tensor.size()
        shards.append(TensorShard(f"bank.{name}", (rows * ranks, *rest), (rows * rank, *(0 for _ in rest)), tensor))
    return shards


def _fill_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """Make the state that AdamW makes at its first step. The weights are loaded afterwards."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)


def refuse_other_rows(here: dict[str, Any], there: dict[str, Any]) -> None:
    """Raises InputError where a checkpoint's rows are not those of this run."""
    if other := [name for name in here if here[name] != there.get(name)]:
        raise InputError(
            f"the checkpoint was made of other rows: {', '.join(other)} differ(s); set data and train.seed back, with "
            f"as many pairs a step over all ranks, or start a new run"
        )
