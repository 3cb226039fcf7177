"""Checkpoints of earlier versions, which torch.distributed.checkpoint (DCP) wrote, read without unpickling.

.metadata       a pickle: sizes, dtypes, and where in which file each shard is
__R_0.distcp    files of torch.save, one after another
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from embeddings.validation import validated
from train.checkpoint.pickle_data import Call, Name, read_pickle
from train.checkpoint.shard_index import DTYPES, NAMES, SavedShard, SavedTensor, ShardIndex
from train.checkpoint.torch_archive import read_tensor, sizes

METADATA = ".metadata"
_MOST_METADATA = 1 << 24  # bytes; some 150 for a shard. Of a larger checkpoint, a 16th of its shards' bytes
_MOST_AROUND = 1 << 16  # bytes of torch.save's own around those of a tensor
_NAMES = {str(dtype).removeprefix("torch."): name for dtype, name in NAMES.items()}


class DCPFiles:
    """The shards in ``folder``, opened. Raises InputError, ValueError and OSError where they are not readable."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last: tuple[tuple[str, tuple[int, ...]], torch.Tensor] | None = None
        if not (folder / METADATA).is_file():
            raise ValueError("it has no index.json")
        in_proportion = sum(file.stat().st_size for file in folder.glob("*.distcp")) // 16
        most = min(max(_MOST_METADATA, in_proportion), 16 * _MOST_METADATA)
        if (folder / METADATA).stat().st_size > most:
            raise ValueError(f"'{METADATA}' has more than {most >> 20} MiB, out of proportion to its shards")
        metadata = _state(read_pickle((folder / METADATA).read_bytes()), "Metadata")
        self._places = _places(metadata.get("storage_data"))
        tensors = _tensors(metadata.get("state_dict_metadata"), self._places)
        self.index = validated(ShardIndex, {"tensors": tensors}, METADATA)

    def part(
        self, key: str, tensor: SavedTensor, shard: SavedShard, starts: Sequence[int], lengths: Sequence[int]
    ) -> torch.Tensor:
        """Of a shard, what begins at ``starts`` and has ``lengths``, not empty."""
        saved = self._shard(key, tensor, shard)
        for dimension, (start, n) in enumerate(zip(starts, lengths, strict=True)):
            saved = saved.narrow(dimension, start, n)
        return saved

    def release(self) -> None:
        """Nothing is mapped. The last shard stays in memory, as one cannot be read in parts."""

    def _shard(self, key: str, tensor: SavedTensor, shard: SavedShard) -> torch.Tensor:
        if self._last is not None and self._last[0] == (key, shard.offsets):
            return self._last[1]
        self._last = None  # never two in memory
        _, offset, length = self._places[key, shard.offsets]
        if length > math.prod(shard.size) * DTYPES[tensor.dtype].itemsize + _MOST_AROUND:
            raise ValueError(f"'{key}' has {length} bytes in '{shard.file}'")
        saved = read_tensor(self._content(shard.file, offset, length))
        if NAMES[saved.dtype] != tensor.dtype or tuple(saved.size()) != shard.size:
            raise ValueError(f"'{key}' is {saved.dtype} {list(saved.size())} in '{shard.file}', other in {METADATA}")
        self._last = (key, shard.offsets), saved
        return saved

    def _content(self, name: str, offset: int, length: int) -> bytes:
        path = self._folder / name
        if not path.is_file() or offset + length > path.stat().st_size:
            raise ValueError(f"it has no file '{name}' of {offset + length} bytes")
        with open(path, "rb") as source:
            source.seek(offset)
            return source.read(length)


Place = tuple[str, int, int]  # file, offset and length in bytes


def _places(stored: Any) -> dict[tuple[str, tuple[int, ...]], Place]:
    """(key, offsets) -> where that shard is."""
    if not isinstance(stored, dict):
        raise ValueError(f"'{METADATA}' says no places")
    places = {}
    for index, info in stored.items():
        wanted, place = _state(index, "MetadataIndex"), _state(info, "_StorageInfo")
        file, offset, length = (place.get(name) for name in ("relative_path", "offset", "length"))
        if wanted.get("offset") is None:  # no tensor; earlier versions saved none
            continue
        if not isinstance(file, str) or not isinstance(wanted.get("fqn"), str):
            raise ValueError(f"'{METADATA}' says no file")
        offset, length = sizes((offset, length))
        places[wanted["fqn"], _size(wanted["offset"])] = file, offset, length
    return places


def _tensors(described: Any, places: dict[tuple[str, tuple[int, ...]], Place]) -> dict[str, dict]:
    """The ``tensors`` of an index, plain data. There are no more shards than places, however often one is named."""
    if not isinstance(described, dict):
        raise ValueError(f"'{METADATA}' describes no tensors")
    tensors, left = {}, len(places)
    for key, value in described.items():
        about = _state(value, "TensorStorageMetadata", "BytesStorageMetadata")
        chunks = about.get("chunks")
        if chunks is None:  # no tensor
            continue
        left -= len(chunks) if isinstance(chunks, list) else left + 1
        if left < 0:
            raise ValueError(f"'{METADATA}' describes more shards than it has places of")
        properties = about.get("properties")
        dtype = properties.state[0] if isinstance(properties, Call) and isinstance(properties.state, tuple) else None
        if not isinstance(dtype, Name) or dtype.module != "torch":
            raise ValueError(f"'{METADATA}' says no dtype of {key!r}")
        shards = []
        for chunk in chunks:
            box = _state(chunk, "ChunkStorageMetadata")
            offsets, size = _size(box.get("offsets")), _size(box.get("sizes"))
            if (key, offsets) not in places:
                raise ValueError(f"'{METADATA}' does not say where {key!r} is")
            shards.append({"file": places[key, offsets][0], "offsets": offsets, "size": size})
        tensors[key] = {"dtype": _NAMES.get(dtype.name), "size": _size(about.get("size")), "shards": shards}
    return tensors


def _state(value: Any, *names: str) -> dict[str, Any]:
    """The attributes of an object of one of DCP's classes ``names``. Raises ValueError where it is none."""
    if not isinstance(value, Call) or not isinstance(value.name, Name) or value.name.name not in names:
        raise ValueError(f"'{METADATA}' holds something else than a {names[0]}")
    state = {} if value.state is None else value.state
    if not isinstance(state, dict):
        raise ValueError(f"'{METADATA}' holds a {names[0]} without attributes")
    return state


def _size(value: Any) -> tuple[int, ...]:
    """A torch.Size."""
    if not isinstance(value, Call) or value.name != Name("torch", "Size") or not isinstance(value.arguments, tuple):
        raise ValueError(f"'{METADATA}' holds no size where one belongs")
    return sizes(value.arguments[0] if value.arguments else None)
