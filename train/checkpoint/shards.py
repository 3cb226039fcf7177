"""Shards of named tensors, as a checkpoint takes and gives them.

A sharded table is several shards of one key, on several ranks; a replicated tensor is one shard, which one of the
ranks writes.
"""

from dataclasses import dataclass, replace

import torch
from torch.distributed._shard.sharded_tensor import ShardedTensor


@dataclass(frozen=True)
class TensorShard:
    """``tensor`` holds the part of tensor ``key``, which is of ``size`` in all, that begins at ``offsets``.

    ``replicated``: every rank has the same one, and one of them writes it.
    """

    key: str
    size: tuple[int, ...]
    offsets: tuple[int, ...]
    tensor: torch.Tensor
    replicated: bool = False


def whole_tensor(key: str, tensor: torch.Tensor, *, replicated: bool = True) -> TensorShard:
    """A tensor as one shard. A number [] is saved as [1]."""
    tensor = tensor.view(1) if tensor.dim() == 0 else tensor
    return TensorShard(key, tuple(tensor.size()), (0,) * tensor.dim(), tensor, replicated)


def local_shards(key: str, value: torch.Tensor | ShardedTensor) -> list[TensorShard]:
    """The shards of ``value`` that this rank holds; a plain tensor is replicated."""
    if not isinstance(value, ShardedTensor):
        return [whole_tensor(key, value)]
    size = tuple(value.size())
    shards = [TensorShard(key, size, tuple(s.metadata.shard_offsets), s.tensor) for s in value.local_shards()]
    return [s for s in shards if s.tensor.numel()]


def copy_to_host(shards: list[TensorShard], before: list[TensorShard]) -> list[TensorShard]:
    """Copies in host memory, pinned for tensors on CUDA, which a later step does not change.

    Args:
        before: what this returned the last time, whose memory is used again: fresh pages cost more than the copy.
    """
    pin = any(p.tensor.is_cuda for p in shards)
    kept = {(p.key, p.offsets, p.tensor.size(), p.tensor.dtype): p.tensor for p in before}
    copies = []
    for p in shards:
        source = p.tensor.detach()
        host = kept.get((p.key, p.offsets, source.size(), source.dtype))
        if host is None:
            host = torch.empty(source.size(), dtype=source.dtype, pin_memory=pin and source.is_cuda)
        copies.append(replace(p, tensor=host.copy_(source, non_blocking=True)))
    if pin:
        torch.cuda.current_stream().synchronize()
    return copies
