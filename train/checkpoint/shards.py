"""Pieces of named tensors, the planners that write them, and that read them in whatever pieces they were written.

A sharded table is several pieces of one name, on several ranks; a replicated tensor is one piece, of one rank. Files
are those of torch.distributed.checkpoint, which finds for a wanted piece the saved pieces that overlap it.
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
class Piece:
    """``tensor`` holds the part of tensor ``key``, which is of ``size`` in all, that begins at ``offsets``.

    Where ``everywhere``, all ranks have the same piece, and one of them writes it.
    """

    key: str
    size: tuple[int, ...]
    offsets: tuple[int, ...]
    tensor: torch.Tensor
    everywhere: bool = False

    @property
    def index(self) -> MetadataIndex:
        return MetadataIndex(self.key, torch.Size(self.offsets))

    @property
    def chunk(self) -> ChunkStorageMetadata:
        return ChunkStorageMetadata(torch.Size(self.offsets), self.tensor.size())


def whole(key: str, tensor: torch.Tensor, *, everywhere: bool = True) -> Piece:
    """A tensor in one piece. A number is a vector of one."""
    tensor = tensor.view(1) if tensor.dim() == 0 else tensor
    return Piece(key, tuple(tensor.size()), (0,) * tensor.dim(), tensor, everywhere)


def pieces_of(key: str, value: torch.Tensor | ShardedTensor) -> list[Piece]:
    """The pieces of ``value`` that are on this rank."""
    if not isinstance(value, ShardedTensor):
        return [whole(key, value)]
    size = tuple(value.size())
    found = [Piece(key, size, tuple(s.metadata.shard_offsets), s.tensor) for s in value.local_shards()]
    return [p for p in found if p.tensor.numel()]


def staged(pieces: list[Piece], before: list[Piece]) -> list[Piece]:
    """Copies in the memory of the host, which a later step does not change.

    Args:
        before: what this returned the last time, whose memory is used again: fresh pages cost more than the copy.
    """
    pin = any(p.tensor.is_cuda for p in pieces)
    kept = {(p.index, p.tensor.size(), p.tensor.dtype): p.tensor for p in before}
    copies = []
    for p in pieces:
        source = p.tensor.detach()
        host = kept.get((p.index, source.size(), source.dtype))
        if host is None:
            host = torch.empty(source.size(), dtype=source.dtype, pin_memory=pin and source.is_cuda)
        copies.append(replace(p, tensor=host.copy_(source, non_blocking=True)))
    if pin:
        torch.cuda.current_stream().synchronize()
    return copies


class SavePieces(DefaultSavePlanner):
    """Writes the pieces of all ranks; torch checks that those of a name cover it once."""

    def __init__(self, pieces: list[Piece]) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self._pieces = pieces
        self._tensors = {(p.key, tuple(p.offsets)): p.tensor for p in pieces}

    def create_local_plan(self) -> SavePlan:
        self.plan = SavePlan([self._item(p) for p in self._pieces])
        return self.plan

    def resolve_data(self, write_item: WriteItem) -> torch.Tensor:
        assert write_item.index.offset is not None
        return self._tensors[write_item.index.fqn, tuple(write_item.index.offset)]

    @staticmethod
    def _item(piece: Piece) -> WriteItem:
        properties = TensorProperties.create_from_tensor(piece.tensor)
        data = TensorWriteData(chunk=piece.chunk, properties=properties, size=torch.Size(piece.size))
        return WriteItem(index=piece.index, type=WriteItemType.SHARD, tensor_data=data)


class LoadPieces(DefaultLoadPlanner):
    """Fills the tensors of ``pieces``. Raises ValueError for a name or size that the checkpoint does not have."""

    def __init__(self, pieces: list[Piece]) -> None:
        super().__init__()
        self._pieces = pieces
        self._tensors = {(p.key, tuple(p.offsets)): p.tensor for p in pieces}

    def set_up_planner(self, state_dict: dict, metadata: Metadata | None = None, is_coordinator: bool = False) -> None:
        self._saved: dict[str, Any] = metadata.state_dict_metadata if metadata else {}

    def create_local_plan(self) -> LoadPlan:
        items: list[ReadItem] = []
        for piece in self._pieces:
            saved = self._saved.get(piece.key)
            if not isinstance(saved, TensorStorageMetadata):
                raise ValueError(f"it has no '{piece.key}'")
            if tuple(saved.size) != piece.size:
                raise ValueError(f"'{piece.key}' is of size {list(saved.size)} in it, of {list(piece.size)} here")
            items += create_read_items_for_chunk_list(piece.key, saved, [piece.chunk])
        return LoadPlan(items)

    def resolve_tensor(self, read_item: ReadItem) -> torch.Tensor:
        assert read_item.dest_index.offset is not None
        tensor = self._tensors[read_item.dest_index.fqn, tuple(read_item.dest_index.offset)].detach()
        for dim, (start, length) in enumerate(zip(read_item.dest_offsets, read_item.lengths, strict=True)):
            tensor = tensor.narrow(dim, start, length)
        return tensor
