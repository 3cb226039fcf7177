"""Shard reader: fills tensors from a checkpoint, under whatever cut its shards were saved."""

import contextlib
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import torch
from safetensors import SafetensorError

from embeddings.errors import InputError, first_line
from train.checkpoint.checksums import damaged
from train.checkpoint.dcp_files import DCPFiles
from train.checkpoint.shard_files import INDEX, ShardFiles
from train.checkpoint.shard_index import DTYPES, SavedShard, SavedTensor, ShardIndex
from train.checkpoint.shards import TensorShard


class SavedShards(Protocol):
    """An opened checkpoint of some format."""

    index: ShardIndex

    def part(
        self, key: str, tensor: SavedTensor, shard: SavedShard, starts: Sequence[int], lengths: Sequence[int]
    ) -> torch.Tensor:
        """Of a shard, what begins at ``starts`` and has ``lengths``, not empty."""

    def release(self) -> None:
        """Let go of mapped files, whose pages count as this process's memory; a part that is asked for maps them."""


def read_shards(path: Path, wanted: list[TensorShard]) -> None:
    """Fill the tensors of ``wanted`` from checkpoint ``path``. Nothing that it holds is run.

    Raises InputError where it has no such tensors, or is damaged.
    """
    ShardReader(path).read(wanted)


class ShardReader:
    """A checkpoint whose index is read once, for many reads of a part each. Raises InputError where it is damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with _damage_named(path):
            self._saved: SavedShards = ShardFiles(path) if (path / INDEX).exists() else DCPFiles(path)

    def read(self, wanted: list[TensorShard]) -> None:
        """Fill the tensors of ``wanted``. Raises InputError as ``read_shards`` does."""
        with _damage_named(self._path):
            for shard in wanted:
                _fill(self._saved, self._path, shard)
            self._saved.release()


@contextlib.contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except _OtherModel as error:
        raise InputError(
            f"checkpoint '{path}' is of another model: {error}; set the model back, or start a new run"
        ) from None
    except (InputError, OSError, ValueError, SafetensorError, struct.error) as error:
        raise damaged(path, first_line(error)) from error


class _OtherModel(Exception):
    """The checkpoint is whole, but has no such tensor."""


def _fill(saved: SavedShards, path: Path, wanted: TensorShard) -> None:
    key, tensor = wanted.key, saved.index.tensors.get(wanted.key)
    if tensor is None:
        raise _OtherModel(f"it has no '{key}'")
    if tensor.size != wanted.size:
        raise _OtherModel(f"'{key}' is of size {list(tensor.size)} in it, of {list(wanted.size)} here")
    dtype, here = DTYPES[tensor.dtype], wanted.tensor.dtype
    if dtype != here and not (dtype.is_floating_point and here.is_floating_point):
        raise _OtherModel(f"'{key}' is {dtype} in it, {here} here")
    filled = 0
    with torch.no_grad():
        for shard in tensor.shards:
            starts = [max(a, b) for a, b in zip(shard.offsets, wanted.offsets, strict=True)]
            ends = [
                min(a + n, b + m)
                for a, n, b, m in zip(shard.offsets, shard.size, wanted.offsets, wanted.tensor.size(), strict=True)
            ]
            lengths = [end - start for start, end in zip(starts, ends, strict=True)]
            if any(n <= 0 for n in lengths):
                continue
            there = [start - offset for start, offset in zip(starts, shard.offsets, strict=True)]
            target = wanted.tensor.detach()
            for dimension, (start, offset, n) in enumerate(zip(starts, wanted.offsets, lengths, strict=True)):
                target = target.narrow(dimension, start - offset, n)
            target.copy_(saved.part(key, tensor, shard, there, lengths))
            filled += target.numel()
    assert filled == wanted.tensor.numel(), f"{key}: shards cover the tensor, so {path} fills what is inside"
