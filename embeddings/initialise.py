"""Initial table weights that do not depend on the sharding plan or the number of ranks."""

import math
import zlib

import torch
from torch import nn
from torch.distributed._shard.sharded_tensor import ShardedTensor

from embeddings.hashing import GOLDEN_RATIO, as_int64, logical_shift, splitmix64_tensor
from embeddings.tables import schema_name

_EPOCH = 0x9FB21C651E98DF25  # any large odd number: epochs get streams of their own
_CHUNK = 1 << 19  # numbers at once: what a large table is filled by must not add to what a rank holds at most


def uniform_rows(seed: int, first_row: int, rows: int, columns: slice, width: int) -> torch.Tensor:
    """Uniform numbers in [-1, 1) for a block of a table, a pure function of (seed, row, column).

    The counter row * width + column goes through the splitmix64 mixer (Steele, Lea and Flood, 2014), so any
    shard of a table holds what the whole table would hold there.

    Args:
        width: columns of the whole table.
        columns: the shard's columns.

    Returns:
        float32 [rows, columns.stop - columns.start]
    """
    return _uniform(seed, torch.arange(first_row, first_row + rows, dtype=torch.int64), columns, width)


def _uniform(seed: int, rows: torch.Tensor, columns: slice, width: int) -> torch.Tensor:
    column = torch.arange(columns.start, columns.stop, dtype=torch.int64)
    z = (rows.unsqueeze(1) * width + column + 1) * as_int64(GOLDEN_RATIO) + as_int64(seed * 0xD1B54A32D192ED03)
    return logical_shift(splitmix64_tensor(z), 40).to(torch.float32) * 2.0**-23 - 1.0


@torch.no_grad()
def initialise_tables(model: nn.Module, seed: int, epoch: int = 0) -> None:
    """Fill every sharded or replicated table of ``model`` with uniform(-1/sqrt(n), 1/sqrt(n)), n its rows.

    The bound is the one that TorchRec's collections use. The stream of a table follows from ``seed``, its name and
    ``epoch``, which is 0 for the weights that a run starts with.
    """
    for key, value in model.state_dict().items():
        if ".embedding_bags." not in key and ".embeddings." not in key:
            continue
        table_seed = _table_seed(schema_name(key.split(".")[-2]), seed, epoch)
        if isinstance(value, ShardedTensor):
            rows, width = value.size()
            for shard in value.local_shards():
                _fill(shard.tensor, shard.metadata.shard_offsets, rows, width, table_seed)
        else:
            rows, width = value.shape
            _fill(value, [0, 0], rows, width, table_seed)


def initial_rows(table: str, seed: int, epoch: int, rows: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """What ``initialise_tables`` fills ``rows`` of ``table`` with, whole ones.

    Args:
        rows: int64 [n], any of the table.
        size: rows and width of the whole table.

    Returns:
        float32 [n, width]
    """
    return _uniform(_table_seed(table, seed, epoch), rows, slice(0, size[1]), size[1]) * _bound(size[0])


def _table_seed(table: str, seed: int, epoch: int) -> int:
    return zlib.crc32(table.encode()) + (seed << 32) + epoch * _EPOCH


def _bound(rows: int) -> float:
    return 1.0 / math.sqrt(rows)


def _fill(tensor: torch.Tensor, offsets: list[int], total_rows: int, width: int, seed: int) -> None:
    bound = _bound(total_rows)
    columns = slice(offsets[1], offsets[1] + tensor.shape[1])
    rows = max(1, _CHUNK // max(1, tensor.shape[1]))
    for start in range(0, tensor.shape[0], rows):
        part = tensor[start : start + rows]
        part.copy_(uniform_rows(seed, offsets[0] + start, part.shape[0], columns, width) * bound)
