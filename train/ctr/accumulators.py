"""Optimizer accumulators (Adagrad, row-wise Adagrad) of table shards, saved and read under any column sharding."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch.distributed._shard.sharded_tensor import ShardedTensor

from embeddings.errors import InputError, shown
from train.checkpoint.shards import TensorShard
from train.ctr.optimizers import WARMUP
from train.ctr.trainable import Trainable


@dataclass(frozen=True)
class Accumulators:
    """The accumulators of one shard of a table: [rows, columns] of the table from ``offsets`` on.

    tensor  [rows, columns]  one accumulator an entry
            [rows]           one accumulator a row
    """

    table: str
    rows: int
    offsets: tuple[int, int]
    sizes: tuple[int, int]
    tensor: torch.Tensor
    replicated: bool = False


def accumulators(trainable: Trainable, optimizer: dict[str, Any]) -> list[Accumulators]:
    """The accumulators on this rank, of sharded and of replicated tables."""
    weights = trainable.model.state_dict()
    result = []
    for name, state in optimizer["state"].items():
        part, _, table = name.partition(".")
        if part == "dense" or name.endswith(WARMUP):
            continue
        weight = weights[table]
        for key, value in state.items():
            if key == "step" or value is None:
                continue  # of replicated tables; their learning rate does not depend on it
            assert key.endswith((".momentum1", "sum")), f"unknown state {name}.{key}"
            if isinstance(value, ShardedTensor):
                shards = list(zip(weight.local_shards(), value.local_shards(), strict=True))
                result += [_of_shard(table, weight.size(0), w.metadata, v.tensor) for w, v in shards]
            else:
                rows, width = weight.size()
                tensor = value.view(rows) if value.numel() == rows else value
                result.append(Accumulators(table, rows, (0, 0), (rows, width), tensor, replicated=True))
    return [a for a in result if a.tensor.numel()]


def _of_shard(table: str, rows: int, shard: Any, tensor: torch.Tensor) -> Accumulators:
    (top, left), (height, width) = shard.shard_offsets, shard.shard_sizes
    assert tensor.numel() in (height, height * width), f"{tensor.size()} accumulators for a shard of {height} x {width}"
    tensor = tensor.view(height) if tensor.dim() == 2 and tensor.size(1) != width else tensor
    return Accumulators(table, rows, (top, left), (height, width), tensor)


def column_bounds(trainable: Trainable) -> dict[str, list[int]]:
    """Table -> where its column shards begin, and its width: [0, 8, 16] for two of width 8."""
    bounds = {}
    for name, value in trainable.model.state_dict().items():
        if isinstance(value, ShardedTensor):
            starts = {s.shard_offsets[1] for s in value.metadata().shards_metadata}
            bounds[name] = [*sorted(starts), value.size(1)]
        elif value.dim() == 2 and name.startswith("sparse."):
            bounds[name] = [0, value.size(1)]
    return bounds


def accumulator_shards(held: list[Accumulators], bounds: dict[str, list[int]]) -> list[TensorShard]:
    """Accumulators as they are saved under the plan whose column shards have ``bounds``."""
    shards = []
    for a in held:
        key, (top, left) = f"optimizer.tables.{a.table}", a.offsets
        if a.tensor.dim() == 1:
            columns = bounds[a.table]
            size, offsets, tensor = (a.rows, len(columns) - 1), (top, columns.index(left)), a.tensor.view(-1, 1)
        else:
            size, offsets, tensor = (a.rows, bounds[a.table][-1]), (top, left), a.tensor
        shards.append(TensorShard(key, size, offsets, tensor, a.replicated))
    return shards


class ReshardedAccumulators:
    """Reads accumulators that were saved with other column shards than these.

    An accumulator of a row is the mean of its columns' squared gradients, summed over steps. Shards that come together
    give their mean, by width, which is exact; a shard that is split gives each part its own value, the best there is.

    Args:
        saved: table -> where its column shards began, and its width, as ``column_bounds`` says them.
        bounds: those of the model here.

    Raises InputError where ``saved`` is of other tables.
    """

    def __init__(self, held: list[Accumulators], saved: dict[str, list[int]], bounds: dict[str, list[int]]) -> None:
        self._parts = []
        self.shards: list[TensorShard] = []
        for a in held:
            if a.table not in saved:
                raise InputError(
                    f"the checkpoint is of another model: it has no table '{a.table}'; set the model back, or start a "
                    "new run"
                )
            columns = saved[a.table]
            if columns[:1] != [0] or columns[-1] != bounds[a.table][-1] or any(m >= n for m, n in pairwise(columns)):
                raise InputError(
                    f"the checkpoint is of another model: table '{a.table}' has columns from "
                    f"{shown(columns)} on in it, {bounds[a.table]} here; set the model back, or start a new run"
                )
            read = a.tensor.new_empty(a.sizes[0], len(columns) - 1)
            size = (a.rows, len(columns) - 1)
            # Two shards of the same rows read the same shard once.
            key = f"optimizer.tables.{a.table}"
            same = next((p for p in self.shards if (p.key, p.offsets) == (key, (a.offsets[0], 0))), None)
            if same is None:
                same = TensorShard(key, size, (a.offsets[0], 0), read)
                self.shards.append(same)
            self._parts.append((a, same.tensor, columns))

    def fill(self) -> None:
        """Compute the accumulators once ``shards`` are read."""
        for a, read, columns in self._parts:
            left, right = a.offsets[1], a.offsets[1] + a.sizes[1]
            shares = [max(0, min(right, end) - max(left, start)) / a.sizes[1] for start, end in pairwise(columns)]
            a.tensor.copy_(read @ read.new_tensor(shares))
