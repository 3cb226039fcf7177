"""What a checkpoint of contrastive learning holds: encoders, optimizer, momentum encoder, memory bank."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from embeddings.errors import InputError
from recsys.scl.memory_bank import MemoryBank
from recsys.scl.towers import MomentumEncoder, Towers
from train.checkpoint import Checkpoints
from train.checkpoint.shards import Piece, whole
from train.ctr import checkpoint_state as state


@dataclass(frozen=True)
class SclTrainable:
    """All that training changes. ``model`` is ``towers``, in DistributedDataParallel where there are several ranks."""

    model: nn.Module
    towers: Towers
    optimizer: torch.optim.Optimizer
    twin: MomentumEncoder | None
    bank: MemoryBank | None


class SclCheckpoints(Checkpoints):
    """The checkpoints of a run of contrastive learning: written, found and checked as all others are.

    model.NAME, twin.NAME      parameters and buffers
    optimizer.NAME.STATE       AdamW's
    bank.NAME                  [K, ...] in the pieces of the ranks
    """

    def _owned(self, trainable: SclTrainable) -> list[Piece]:  # type: ignore[override]
        pieces = _weights(trainable) + _optimizer(trainable) + _bank(trainable.bank)
        shared = [p for p in pieces if p.everywhere][self._ranks.rank :: self._ranks.world_size]
        return [p for p in pieces if not p.everywhere] + shared + state.random_pieces(self._ranks)

    def load(  # type: ignore[override]
        self, path: Path, trainable: SclTrainable, progress: dict[str, Any] | None = None, *, seed: int = 0
    ) -> None:
        """Fill ``trainable`` from ``path``; the encoders' weights alone where ``progress`` is None.

        Another number of ranks takes its shares of the bank's rows; which of them is overwritten next then differs.
        Raises InputError where the checkpoint is of another model.
        """
        if progress is None:
            self._read(path, _weights(trainable)[: len(trainable.towers.state_dict())])
            return
        _fill_optimizer(trainable.optimizer)
        same = state.same_generators(progress, self._ranks)
        random = state.random_pieces(self._ranks) if same else []
        self._read(path, _weights(trainable) + _optimizer(trainable) + _bank(trainable.bank) + random)
        if same:
            state.set_random(random, self._ranks)
        else:
            state.reseed(seed, progress["step"], self._ranks)
            if trainable.bank is not None:
                trainable.bank.queue_ptr.remainder_(trainable.bank.queue.size(0))


def _weights(trainable: SclTrainable) -> list[Piece]:
    """The encoders' first, then those of the momentum encoder."""
    found = [whole(f"model.{name}", value) for name, value in trainable.towers.state_dict().items()]
    if trainable.twin is not None:
        found += [whole(f"twin.{name}", value) for name, value in trainable.twin.state_dict().items()]
    return found


def _optimizer(trainable: SclTrainable) -> list[Piece]:
    names = {parameter: name for name, parameter in trainable.towers.named_parameters()}
    return [
        whole(f"optimizer.{names[parameter]}.{key}", value)
        for parameter, values in trainable.optimizer.state.items()
        for key, value in values.items()
    ]


def _bank(bank: MemoryBank | None) -> list[Piece]:
    if bank is None:
        return []
    ranks = bank.group.size() if bank.group is not None else 1
    rank = bank.group.rank() if bank.group is not None else 0
    found = [whole("bank.queue_ptr", bank.queue_ptr)]
    for name in ("queue", "items", "filled"):
        tensor = getattr(bank, name)
        rows, *rest = tensor.size()
        found.append(Piece(f"bank.{name}", (rows * ranks, *rest), (rows * rank, *(0 for _ in rest)), tensor))
    return found


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
