"""Writes an ID table of a checkpoint as the files of an exported model, a block of rows at a time."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from embeddings.errors import InputError
from embeddings.initialise import initial_rows
from embeddings.tables import module_name
from recsys.exported.manifest import TableEntry, table_files
from recsys.exported.table import quantised
from recsys.models.sparse import collection_name
from train.checkpoint.shard_reader import ShardReader
from train.checkpoint.shards import TensorShard

BLOCK_NUMBERS = 1 << 20  # of a table in memory at once: 4 MiB
_IN_CACHE = 1 << 14  # numbers: initial weights of more at once leave the cache, and take ten times as long


@dataclass(frozen=True)
class InitialWeights:
    """What tables were filled with before training changed their rows: the run's seed, and the epoch of that."""

    seed: int
    epoch: int

    def changed(self, values: torch.Tensor, name: str, rows: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
        """Which ``rows`` [n] int64 of table ``name``, of ``values`` [n, D], training has changed: [n] bool."""
        result, at_once = np.empty(values.shape[0], bool), max(1, _IN_CACHE // values.shape[1])
        for start in range(0, values.shape[0], at_once):
            part = slice(start, start + at_once)
            before = initial_rows(name, self.seed, self.epoch, rows[part], size)
            result[part] = (values[part] != before).any(dim=1).numpy()
        return result


def weight_key(name: str, pooled: bool) -> str:
    """What a checkpoint calls the weights of table ``name``; ``pooled`` as for ``write_table``."""
    kind = "embedding_bags" if pooled else "embeddings"
    return f"model.sparse.{collection_name(pooled, False)}.{kind}.{module_name(name)}.weight"


def stored(values: np.ndarray, name: str, dtype: str, fix: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Rows [n, D] of table ``name`` as ``quantised`` has them. Raises InputError where they are not finite.

    Args:
        fix: what to do about numbers that are not.
    """
    if not np.isfinite(values).all():
        raise InputError(f"table '{name}' holds numbers that are not finite; {fix}")
    numbers, scale = quantised(values, dtype)
    if not np.isfinite(numbers).all():
        raise InputError(f"table '{name}' has numbers beyond float16; export it by --table {name}=float32")
    return numbers, scale


def write_table(
    checkpoint: ShardReader,
    folder: Path,
    name: str,
    entry: TableEntry,
    pooled: bool,
    initial: InitialWeights,
    advance: Callable[[int], None],
) -> None:
    """Write table ``name`` from ``checkpoint`` into a version's ``folder``.

    Args:
        pooled: as for ``weight_key``.
        advance: told how many rows more are written.

    Raises InputError where the checkpoint has no such table, or it holds numbers that are not finite.
    """
    key = weight_key(name, pooled)
    size = (entry.rows, entry.width)
    at_once = max(8, BLOCK_NUMBERS // entry.width // 8 * 8)  # whole bytes of bits
    with ExitStack() as opened:
        rows_file, trained_file, *scale_file = (
            opened.enter_context(open(folder / file, "wb")) for file in table_files(name, entry.dtype)
        )
        _header(rows_file, size, entry.dtype)
        _header(trained_file, (-(-entry.rows // 8),), "uint8")
        for file in scale_file:
            _header(file, (entry.rows,), "float32")
        for first in range(0, entry.rows, at_once):
            block = torch.empty(min(at_once, entry.rows - first), entry.width)
            checkpoint.read([TensorShard(key, size, (first, 0), block)])
            numbers, scale = stored(block.numpy(), name, entry.dtype, "name another --checkpoint")
            rows_file.write(numbers.tobytes())
            changed = initial.changed(block, name, torch.arange(first, first + block.shape[0]), size)
            trained_file.write(np.packbits(changed, bitorder="little").tobytes())
            for file in scale_file:
                assert scale is not None
                file.write(scale.tobytes())
            advance(block.shape[0])


def _header(file: BinaryIO, shape: tuple[int, ...], dtype: str) -> None:
    about = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, about)
