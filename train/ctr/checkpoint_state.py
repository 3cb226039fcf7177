"""What a checkpoint holds of a trainable, under names that do not depend on ranks or on the plan.

model.NAME                    parameters and buffers; a table [N, D] in the pieces of its shards
optimizer.tables.NAME         a table's accumulators: Adagrad [N, D]; row-wise Adagrad [N, C], a column for each
                              of the C column shards, which keep an accumulator of their own
optimizer.dense.NAME.STATE    AdamW's
schedule                      steps of the warm-up, the same for all parts of the optimizer
random.DEVICE.RANK            the rank's generator of that device
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch.distributed._shard.sharded_tensor import ShardedTensor

from embeddings.errors import InputError
from train.checkpoint.shards import Piece, pieces_of, whole
from train.ctr.build import Trainable
from train.distributed.process_group import Ranks

_WARMUP = "__warmup"


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
    everywhere: bool = False


def model_pieces(weights: dict[str, Any]) -> list[Piece]:
    """Parameters and buffers on this rank, from the model's state."""
    return [p for name, value in weights.items() for p in pieces_of(f"model.{name}", value)]


def dense_pieces(optimizer: dict[str, Any]) -> list[Piece]:
    """The state of the dense optimizer, from the state of all parts."""
    return [
        whole(f"optimizer.{name}.{key}", value)
        for name, state in optimizer["state"].items()
        if name.startswith("dense.") and not name.endswith(_WARMUP)
        for key, value in state.items()
    ]


def warmups(optimizer: dict[str, Any]) -> list[torch.Tensor]:
    """The counters of every part's warm-up, all the same: [2] int64 each."""
    return [state["warmup"] for name, state in optimizer["state"].items() if name.endswith(_WARMUP)]


def accumulators(trainable: Trainable, optimizer: dict[str, Any]) -> list[Accumulators]:
    """The accumulators on this rank, of sharded and of replicated tables."""
    weights = trainable.model.state_dict()
    found = []
    for name, state in optimizer["state"].items():
        part, _, table = name.partition(".")
        if part == "dense" or name.endswith(_WARMUP):
            continue
        weight = weights[table]
        for key, value in state.items():
            if key == "step" or value is None:
                continue  # of replicated tables; their learning rate does not depend on it
            assert key.endswith((".momentum1", "sum")), f"unknown state {name}.{key}"
            if isinstance(value, ShardedTensor):
                shards = list(zip(weight.local_shards(), value.local_shards(), strict=True))
                found += [_of_shard(table, weight.size(0), w.metadata, v.tensor) for w, v in shards]
            else:
                rows, width = weight.size()
                tensor = value.view(rows) if value.numel() == rows else value
                found.append(Accumulators(table, rows, (0, 0), (rows, width), tensor, everywhere=True))
    return [a for a in found if a.tensor.numel()]


def _of_shard(table: str, rows: int, shard: Any, tensor: torch.Tensor) -> Accumulators:
    (top, left), (height, width) = shard.shard_offsets, shard.shard_sizes
    assert tensor.numel() in (height, height * width), f"{tensor.size()} accumulators for a shard of {height} x {width}"
    tensor = tensor.view(height) if tensor.dim() == 2 and tensor.size(1) != width else tensor
    return Accumulators(table, rows, (top, left), (height, width), tensor)


def column_bounds(trainable: Trainable) -> dict[str, list[int]]:
    """Table -> where its column shards begin, and its width: [0, 8, 16] for two of width 8."""
    found = {}
    for name, value in trainable.model.state_dict().items():
        if isinstance(value, ShardedTensor):
            starts = {s.shard_offsets[1] for s in value.metadata().shards_metadata}
            found[name] = [*sorted(starts), value.size(1)]
        elif value.dim() == 2 and name.startswith("sparse."):
            found[name] = [0, value.size(1)]
    return found


def table_pieces(found: list[Accumulators], bounds: dict[str, list[int]]) -> list[Piece]:
    """Accumulators as they are saved under the plan whose column shards have ``bounds``."""
    pieces = []
    for a in found:
        key, (top, left) = f"optimizer.tables.{a.table}", a.offsets
        if a.tensor.dim() == 1:
            columns = bounds[a.table]
            size, offsets, tensor = (a.rows, len(columns) - 1), (top, columns.index(left)), a.tensor.view(-1, 1)
        else:
            size, offsets, tensor = (a.rows, bounds[a.table][-1]), (top, left), a.tensor
        pieces.append(Piece(key, size, offsets, tensor, a.everywhere))
    return pieces


class Regrouped:
    """Reads accumulators that were saved with other column shards than these.

    An accumulator of a row is the mean of its columns' squared gradients, summed over steps. Shards that come together
    give their mean, by width, which is exact; a shard that is split gives each part its own value, the best there is.
    """

    def __init__(self, found: list[Accumulators], saved: dict[str, list[int]]) -> None:
        self._parts = []
        self.pieces: list[Piece] = []
        for a in found:
            if a.table not in saved:
                raise InputError(
                    f"the checkpoint is of another model: it has no table '{a.table}'; set the model back, or start a "
                    "new run"
                )
            columns = saved[a.table]
            read = a.tensor.new_empty(a.sizes[0], len(columns) - 1)
            size = (a.rows, len(columns) - 1)
            # Two shards of the same rows read the same piece once.
            key = f"optimizer.tables.{a.table}"
            same = next((p for p in self.pieces if (p.key, p.offsets) == (key, (a.offsets[0], 0))), None)
            if same is None:
                same = Piece(key, size, (a.offsets[0], 0), read)
                self.pieces.append(same)
            self._parts.append((a, same.tensor, columns))

    def fill(self) -> None:
        """Compute the accumulators once ``pieces`` are read."""
        for a, read, columns in self._parts:
            left, right = a.offsets[1], a.offsets[1] + a.sizes[1]
            shares = [max(0, min(right, end) - max(left, start)) / a.sizes[1] for start, end in pairwise(columns)]
            a.tensor.copy_(read @ read.new_tensor(shares))


def random_pieces(ranks: Ranks) -> list[Piece]:
    """The state of this rank's generators; the reader's do not go on from batch to batch, so have none."""
    states = {"cpu": torch.get_rng_state()}
    if ranks.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(ranks.device)
    return [whole(f"random.{device}.{ranks.rank}", value, everywhere=False) for device, value in states.items()]


def same_generators(progress: dict[str, Any], ranks: Ranks) -> bool:
    """Whether the checkpoint of ``progress`` holds the states that ``random_pieces`` asks for, of the same devices."""
    device = progress.get("device", ranks.device.type)  # older checkpoints do not say
    return progress["world_size"] == ranks.world_size and device == ranks.device.type


def set_random(pieces: list[Piece], ranks: Ranks) -> None:
    """Go on with the generators as ``random_pieces`` gave them."""
    for piece in pieces:
        if piece.key.startswith("random.cuda"):
            torch.cuda.set_rng_state(piece.tensor, ranks.device)
        else:
            torch.set_rng_state(piece.tensor)


def reseed(seed: int, step: int, ranks: Ranks) -> None:
    """Begin with new random numbers where the saved ones are of other ranks or another kind of device."""
    torch.manual_seed(
        int(np.random.SeedSequence([seed % 2**63, step, ranks.rank]).generate_state(1, np.uint64)[0] >> 1)
    )
