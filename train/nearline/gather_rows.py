"""Gathers rows of sharded tables from all ranks on rank 0: each rank gives what its shards hold of them."""

from collections.abc import Mapping

import numpy as np
import torch
import torch.distributed as dist

from train.checkpoint.shards import TensorShard
from train.distributed.ranks import Ranks

_Part = tuple[str, int, int, int, np.ndarray]  # table, first and end among its rows, first column, numbers


def union_of_ranks(rows: Mapping[str, np.ndarray], ranks: Ranks) -> dict[str, np.ndarray]:
    """Table -> rows that any rank names, ascending, each once: [n] int64. All ranks call it."""
    if ranks.world_size == 1:
        return dict(rows)
    everyones: list = [None] * ranks.world_size
    dist.all_gather_object(everyones, dict(rows))
    names = sorted({name for own in everyones for name in own})
    return {name: np.unique(np.concatenate([own[name] for own in everyones if name in own])) for name in names}


def gather_rows(
    wanted: Mapping[str, np.ndarray], keys: Mapping[str, str], shards: list[TensorShard], ranks: Ranks
) -> dict[str, np.ndarray]:
    """Table -> the numbers of its ``wanted`` rows, [n, D] float32, on rank 0; nothing elsewhere. All ranks call it.

    Args:
        wanted: the same on all ranks, rows ascending.
        keys: table -> key of its shards.
        shards: what this rank holds, such as of the model's state.
    """
    held: dict[str, list[TensorShard]] = {}
    for shard in shards:
        held.setdefault(shard.key, []).append(shard)
    own: list[_Part] = []
    for name, rows in wanted.items():
        for shard in held.get(keys[name], ()):
            if shard.replicated and not ranks.first:
                continue
            (top, left), height = shard.offsets, shard.tensor.size(0)
            start, end = (int(place) for place in np.searchsorted(rows, (top, top + height)))
            if start < end:
                index = torch.from_numpy(rows[start:end] - top).to(shard.tensor.device)
                numbers = shard.tensor.detach().index_select(0, index).float().cpu().numpy()
                own.append((name, start, end, left, numbers))
    parts = [own]
    if ranks.world_size > 1:
        parts = [[] for _ in range(ranks.world_size)]
        dist.gather_object(own, parts if ranks.first else None)
    if not ranks.first:
        return {}
    widths: dict[str, int] = {}
    for part in parts:
        for name, _, _, left, numbers in part:
            widths[name] = max(widths.get(name, 0), left + numbers.shape[1])
    result = {name: np.full((rows.size, widths[name]), np.nan, np.float32) for name, rows in wanted.items()}
    for part in parts:
        for name, start, end, left, numbers in part:
            result[name][start:end, left : left + numbers.shape[1]] = numbers
    return result
