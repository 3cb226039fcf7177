"""Shard files: what a rank's part of a checkpoint is on disk, a safetensors file, and how it is read.

index.json               which part of which tensor is in which file (train/checkpoint/shard_index.py)
rank-00000.safetensors   tensors by name: KEY, or KEY@ROW,COLUMN for a part that begins there
"""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from embeddings.files.json_file import read_json
from embeddings.validation import validated
from train.checkpoint.direct_io import direct_file
from train.checkpoint.shard_index import NAMES, SavedShard, SavedTensor, ShardIndex, index_of, joined
from train.checkpoint.shards import TensorShard

INDEX = "index.json"
_MOST_INDEX = 1 << 29  # bytes; 100 for a shard
_ALIGNED = 8  # bytes; the tensors begin there, the widest dtypes first

Files = dict[str, list[int]]  # name -> size in bytes, CRC-32


def write_shards(folder: Path, rank: int, shards: list[TensorShard]) -> tuple[dict[str, dict], Files]:
    """Write ``shards``, contiguous in host memory, as this rank's file; on disk when it returns.

    Returns its part of the index, as plain data, and the file. Raises OSError.
    """
    shards = sorted(shards, key=lambda s: (-s.tensor.dtype.itemsize, s.key, s.offsets))
    file, end, about = f"rank-{rank:05d}.safetensors", 0, {}
    for shard in shards:
        start, end = end, end + shard.tensor.numel() * shard.tensor.dtype.itemsize
        name = _name(shard.key, shard.offsets, tuple(shard.tensor.size()) == shard.size)
        shape = list(shard.tensor.size())
        about[name] = {"dtype": NAMES[shard.tensor.dtype], "shape": shape, "data_offsets": [start, end]}
    assert len(about) == len(shards), "two shards of one place"
    header = json.dumps(about, separators=(",", ":")).encode()
    header += b" " * (-len(header) % _ALIGNED)
    with direct_file(folder / file) as out:
        out.write(struct.pack("<Q", len(header)) + header)
        for shard in shards:
            out.write(shard.tensor.view(-1).view(torch.uint8).numpy())
    return index_of((file, shard) for shard in shards), {file: [out.size, out.checksum]}


def write_index(folder: Path, parts: list[dict[str, dict]]) -> Files:
    """Write the index of all ranks' shards. Raises OSError."""
    index = joined(parts).model_dump(mode="json")
    with direct_file(folder / INDEX) as out:
        out.write(json.dumps(index, separators=(",", ":")).encode())
    return {INDEX: [out.size, out.checksum]}


class ShardFiles:
    """The shards in ``folder``, opened. Files are mapped: memory is taken by what is asked for.

    Raises InputError where there is no readable index; SafetensorError, OSError and ValueError for the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: dict[str, Any] = {}
        self.index = validated(ShardIndex, read_json(folder / INDEX, "index", _MOST_INDEX), INDEX)

    def part(
        self, key: str, tensor: SavedTensor, shard: SavedShard, starts: Sequence[int], lengths: Sequence[int]
    ) -> torch.Tensor:
        """Of a shard, what begins at ``starts`` and has ``lengths``, not empty; in the file's own memory."""
        saved = self._file(shard.file).get_slice(_name(key, shard.offsets, shard.size == tensor.size))
        if saved.get_dtype() != tensor.dtype or tuple(saved.get_shape()) != shard.size:
            here = f"{saved.get_dtype()} {saved.get_shape()}"
            raise ValueError(f"'{key}' is {here} in '{shard.file}', {tensor.dtype} {list(shard.size)} in the index")
        if not lengths:
            return saved[...]
        return saved[tuple(slice(start, start + n) for start, n in zip(starts, lengths, strict=True))]

    def release(self) -> None:
        """Let go of the mapped files; the next part maps them again."""
        self._opened.clear()

    def _file(self, name: str) -> Any:
        if name not in self._opened:
            if not (self._folder / name).is_file():  # a pipe would be waited for
                raise ValueError(f"it has no file '{name}'")
            self._opened[name] = safe_open(self._folder / name, "pt")
        return self._opened[name]


def _name(key: str, offsets: Sequence[int], whole: bool) -> str:
    return key if whole else f"{key}@{','.join(map(str, offsets))}"
