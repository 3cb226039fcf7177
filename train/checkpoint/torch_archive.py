"""Files of torch.save read without unpickling: tensors, and dicts of tensors, of earlier versions' runs."""

import io
import math
import struct
import sys
import zipfile
from typing import Any

import torch

from train.checkpoint.pickle_data import Call, Name, Persistent, read_pickle
from train.checkpoint.shard_index import MOST_DIMENSIONS

_MOST_PICKLE = 1 << 20  # bytes of what describes the tensors; some 300 a tensor
_LOCAL_HEADER = struct.Struct("<26xHH")  # ends with the lengths of the name and of what follows it
_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def read_tensor(data: bytes) -> torch.Tensor:
    """The tensor that ``data``, the content of a file of torch.save, holds. Raises ValueError where it holds none."""
    archive = _Archive(data)
    return archive.tensor(archive.root)


def read_tensors(data: bytes) -> dict[str, torch.Tensor]:
    """The tensors by name that ``data``, the content of a file of torch.save, holds. Raises ValueError."""
    archive = _Archive(data)
    if not isinstance(archive.root, dict) or not all(isinstance(key, str) for key in archive.root):
        raise ValueError("it holds no tensors by name")
    return {key: archive.tensor(value) for key, value in archive.root.items()}


class _Archive:
    """A zip file: data.pkl says what tensors there are, data/KEY is a tensor's memory, never compressed.

    Its checksums are not compared: torch was told not to write them (train/checkpoint holds its own).
    """

    def __init__(self, data: bytes) -> None:
        self._data, self._left = data, len(data)
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                self._members = {info.filename: info for info in archive.infolist()}
        except (zipfile.BadZipFile, NotImplementedError, OverflowError, struct.error) as error:
            raise ValueError(f"no file of torch.save ({error})") from error
        described = [name for name in self._members if name.endswith("/data.pkl")]
        if len(described) != 1 or self._members[described[0]].file_size > _MOST_PICKLE:
            raise ValueError("no file of torch.save, as it describes no tensors")
        self._prefix = described[0].removesuffix("data.pkl")
        order = f"{self._prefix}byteorder"
        if order in self._members and self._content(order) != sys.byteorder.encode():
            raise ValueError("a file of torch.save from a machine of another byte order")
        self.root = read_pickle(bytes(self._content(described[0])))

    def tensor(self, value: Any) -> torch.Tensor:
        """What torch would make of ``value``, in memory of its own."""
        for _ in range(2):  # a parameter is made of its tensor
            if not isinstance(value, Call) or not isinstance(value.arguments, tuple):
                raise ValueError("it holds something that is no tensor")
            if value.name != Name("torch._utils", "_rebuild_parameter"):
                break
            value = value.arguments[0] if value.arguments else None
        if value.name != Name("torch._utils", "_rebuild_tensor_v2") or len(value.arguments) < 4:
            raise ValueError(f"it holds a {value.name}, no tensor")
        storage, offset, size, stride = value.arguments[:4]
        memory, dtype = self._memory(storage)
        count = len(memory) // dtype.itemsize
        numbers = (offset, *sizes(size), *sizes(stride, len(size)))
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if min(numbers) < 0 or math.prod(size) > count or (math.prod(size) and last >= count):
            raise ValueError(f"a tensor of size {list(size)} in the memory of {count} numbers")
        if not math.prod(size):
            return torch.empty(size, dtype=dtype)
        self._left -= len(memory)
        if self._left < 0:
            raise ValueError("its tensors share their memory")  # a small file could ask for any amount of it
        return torch.frombuffer(bytearray(memory), dtype=dtype).as_strided(size, stride, offset)

    def _memory(self, storage: Any) -> tuple[memoryview, torch.dtype]:
        about = storage.about if isinstance(storage, Persistent) else None
        if not isinstance(about, tuple) or len(about) != 5 or not isinstance(about[1], Name):
            raise ValueError("a tensor without a memory")
        _, kind, key, _, count = about
        dtype = _DTYPES.get(kind.name) if kind.module == "torch" else None
        if dtype is None or not isinstance(key, str):
            raise ValueError(f"a tensor of {kind}")
        memory = self._content(f"{self._prefix}data/{key}")
        if not isinstance(count, int) or len(memory) != count * dtype.itemsize:
            raise ValueError(f"a memory of {len(memory)} bytes instead of {count} numbers")
        return memory, dtype

    def _content(self, name: str) -> memoryview:
        info = self._members.get(name)
        if info is None or info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"no file of torch.save, as it has no plain '{name}'")
        whole = memoryview(self._data)
        header = whole[info.header_offset : info.header_offset + _LOCAL_HEADER.size]
        if len(header) < _LOCAL_HEADER.size:
            raise ValueError(f"'{name}' is beyond its end")
        start = info.header_offset + _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack(header))
        content = whole[start : start + info.file_size]
        if len(content) < info.file_size:
            raise ValueError(f"'{name}' is beyond its end")
        return content


def sizes(value: Any, length: int | None = None) -> tuple[int, ...]:
    """``value`` where it is a tensor's size, or stride: as many whole numbers as ``length`` says. Raises ValueError."""
    if not isinstance(value, tuple) or len(value) > MOST_DIMENSIONS or length not in (None, len(value)):
        raise ValueError("a size that is none")
    if not all(isinstance(n, int) and 0 <= n < 1 << 62 for n in value):
        raise ValueError("a size that is no whole number")
    return value
