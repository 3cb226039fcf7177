"""Index of a checkpoint: which tensors it holds, of which size and dtype, and which part of them is in which file."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator

from embeddings.validation import Strict
from train.checkpoint.shards import TensorShard

MOST_DIMENSIONS = 16  # of a tensor
# names of dtypes are those of safetensors
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAMES = {dtype: name for name, dtype in DTYPES.items()}

# a name in the checkpoint's own folder, no path
ShardFile = Annotated[str, Field(pattern=r"^\.?[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=200)]
_Size = Annotated[tuple[Annotated[int, Field(ge=0, lt=1 << 62)], ...], Field(max_length=MOST_DIMENSIONS)]


class SavedShard(Strict):
    """The part of a tensor that begins at ``offsets``, in ``file``."""

    file: ShardFile
    offsets: _Size
    size: _Size


class SavedTensor(Strict):
    """A tensor of ``size`` in all, which ``shards`` cover, each entry once."""

    dtype: Literal["F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"]
    size: _Size
    shards: list[SavedShard]

    @model_validator(mode="after")
    def _covered_once(self) -> "SavedTensor":
        dimensions = len(self.size)
        if any(len(s.offsets) != dimensions or len(s.size) != dimensions for s in self.shards):
            raise ValueError("its shards have other dimensions than the tensor")
        if not _tile([(s.offsets, s.size) for s in self.shards], self.size):
            raise ValueError("its shards do not cover the tensor once")
        return self


class ShardIndex(Strict):
    """The file index.json."""

    format: Literal[1] = 1
    tensors: dict[str, SavedTensor]


def _tile(boxes: Sequence[tuple[Sequence[int], Sequence[int]]], size: Sequence[int]) -> bool:
    """Whether boxes (offsets, size) cover ``size`` once: columns side by side, and in each of them rows.

    That is how tables are cut, whatever their sharding type.
    """
    if len(boxes) == 1:
        offsets, whole = boxes[0]
        return not any(offsets) and tuple(whole) == tuple(size)
    if not size:
        return False
    columns: dict[tuple[int, int], list] = defaultdict(list)
    for offsets, part in boxes:
        columns[offsets[-1], part[-1]].append((offsets[:-1], part[:-1]))
    end = 0
    for (start, width), rows in sorted(columns.items()):
        if start != end or not width or not _tile(rows, size[:-1]):
            return False
        end += width
    return bool(columns) and end == size[-1]


def index_of(shards: Iterable[tuple[str, TensorShard]]) -> dict[str, dict]:
    """The ``tensors`` of an index as plain data, of shards and the files that they are in."""
    tensors: dict[str, dict] = {}
    for file, shard in shards:
        about = {"dtype": NAMES[shard.tensor.dtype], "size": shard.size, "shards": []}
        place = {"file": file, "offsets": shard.offsets, "size": tuple(shard.tensor.size())}
        tensors.setdefault(shard.key, about)["shards"].append(place)
    return tensors


def joined(parts: Iterable[dict[str, dict]]) -> ShardIndex:
    """The index of what several ranks have written, each of which says its own part as ``index_of`` does."""
    tensors: dict[str, dict] = {}
    for part in parts:
        for key, about in part.items():
            tensors.setdefault(key, {**about, "shards": []})["shards"] += about["shards"]
    return ShardIndex.model_validate({"tensors": tensors})
