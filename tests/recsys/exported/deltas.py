"""Deltas of a model that was never trained: random rows, and random dense parameters, from a seed."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load, save

from recsys.exported.delta import TableRows
from recsys.exported.delta_chain import DeltaChain
from recsys.exported.manifest import DENSE, read_manifest
from recsys.exported.table import quantised
from recsys.exported.versions import Versions
from recsys.stream.position import StreamPosition


def chain_of(root: Path) -> DeltaChain:
    """The deltas of the current version of the model in ``root``."""
    versions = Versions(root)
    return DeltaChain(versions, read_manifest(versions.folder(versions.current())))


def rows_of(seed: int, rows: int, width: int, dtype: str) -> TableRows:
    """Some rows of a table of so many, of which every third has not changed since it began."""
    draw = np.random.default_rng(seed)
    index = np.sort(draw.choice(rows, max(1, rows // 3), replace=False))
    values, scale = quantised(draw.normal(size=(index.size, width)).astype(np.float32), dtype)
    return TableRows(index, values, (index % 3 > 0).astype(np.uint8), scale)


def write_delta(root: Path, seed: int, scale: float = 1.0) -> int:
    """Write the next delta of the current version: rows of all tables, and the dense part times ``scale``."""
    chain = chain_of(root)
    number = chain.latest() + 1
    position = StreamPosition(run_id="0" * 32, number=number, event_time=1000.0 * number)
    generator = torch.Generator().manual_seed(seed)
    dense = load((chain._base / DENSE).read_bytes())
    dense = {name: torch.randn(value.shape, generator=generator) * 0.3 * scale for name, value in dense.items()}
    with chain.writing(number, chain.digest(number - 1), 100 + number, position) as (folder, counts):
        for place, (name, entry) in enumerate(sorted(chain.version.tables.items())):
            rows = rows_of(seed + 100 * place, entry.rows, entry.width, entry.dtype)
            rows.write(folder, name)
            counts[name] = rows.rows.size
        (folder / DENSE).write_bytes(save(dense))
    return number
