"""Shards of named tensors in a checkpoint: DCP planners that save them, and load them under any other sharding.

A sharded table is several shards of one key, on several ranks; a replicated tensor is one shard, which one of the
ranks writes. Files are those of torch.distributed.checkpoint (DCP), which finds for a wanted shard the saved ones that
overlap it.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.distributed._shard.sharded_tensor import ShardedTensor
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, DefaultSavePlanner
from torch.distributed.checkpoint.metadata import (
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    TensorProperties,
    TensorStorageMetadata,
)
from torch.distributed.checkpoint.planner import LoadPlan, ReadItem, SavePlan, TensorWriteData, WriteItem, WriteItemType
from torch.distributed.checkpoint.planner_helpers import create_read_items_for_chunk_list


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

    @property
    def index(self) -> MetadataIndex:
        return MetadataIndex(self.key, torch.Size(self.offsets))

    @property
    def chunk(self) -> ChunkStorageMetadata:
        return ChunkStorageMetadata(torch.Size(self.offsets), self.tensor.size())


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
    kept = {(p.index, p.tensor.size(), p.tensor.dtype): p.tensor for p in before}
    copies = []
    for p in shards:
        source = p.tensor.detach()
        host = kept.get((p.index, source.size(), source.dtype))
        if host is None:
            host = torch.empty(source.size(), dtype=source.dtype, pin_memory=pin and source.is_cuda)
        copies.append(replace(p, tensor=host.copy_(source, non_blocking=True)))
    if pin:
        torch.cuda.current_stream().synchronize()
    return copies


class ShardSavePlanner(DefaultSavePlanner):
    """Saves the shards of all ranks; DCP checks that those of a key cover its tensor once."""

    def __init__(self, shards: list[TensorShard]) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self._shards = shards
        self._tensors = {(p.key, tuple(p.offsets)): p.tensor for p in shards}

    def create_local_plan(self) -> SavePlan:
        self.plan = SavePlan([self._item(p) for p in self._shards])
        return self.plan

    def resolve_data(self, write_item: WriteItem) -> torch.Tensor:
        assert write_item.index.offset is not None
        return self._tensors[write_item.index.fqn, tuple(write_item.index.offset)]

    @staticmethod
    def _item(shard: TensorShard) -> WriteItem:
        properties = TensorProperties.create_from_tensor(shard.tensor)
        data = TensorWriteData(chunk=shard.chunk, properties=properties, size=torch.Size(shard.size))
        return WriteItem(index=shard.index, type=WriteItemType.SHARD, tensor_data=data)


class ShardLoadPlanner(DefaultLoadPlanner):
    """Fills the tensors of ``shards``. Raises ValueError for a key or size that the checkpoint does not have."""

    def __init__(self, shards: list[TensorShard]) -> None:
        super().__init__()
        self._shards = shards
        self._tensors = {(p.key, tuple(p.offsets)): p.tensor for p in shards}

    def set_up_planner(self, state_dict: dict, metadata: Metadata | None = None, is_coordinator: bool = False) -> None:
        self._saved: dict[str, Any] = metadata.state_dict_metadata if metadata else {}

    def create_local_plan(self) -> LoadPlan:
        items: list[ReadItem] = []
        for shard in self._shards:
            saved = self._saved.get(shard.key)
            if not isinstance(saved, TensorStorageMetadata):
                raise ValueError(f"it has no '{shard.key}'")
            if tuple(saved.size) != shard.size:
                raise ValueError(f"'{shard.key}' is of size {list(saved.size)} in it, of {list(shard.size)} here")
            items += create_read_items_for_chunk_list(shard.key, saved, [shard.chunk])
        return LoadPlan(items)

    def resolve_tensor(self, read_item: ReadItem) -> torch.Tensor:
        assert read_item.dest_index.offset is not None
        tensor = self._tensors[read_item.dest_index.fqn, tuple(read_item.dest_index.offset)].detach()
        for dim, (start, length) in enumerate(zip(read_item.dest_offsets, read_item.lengths, strict=True)):
            tensor = tensor.narrow(dim, start, length)
        return tensor
