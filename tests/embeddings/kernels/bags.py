"""The arguments that every kernel starts with: a table of unit vectors, targets, and bags of behaviours."""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch

TABLE_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.int8)

# Bags and offsets that two targets and seven behaviours cannot have
OUT_OF_RANGE = {
    "bag past the end": dict(bag_index=torch.tensor([0, 2])),
    "bag -1": dict(bag_index=torch.tensor([0, -1])),
    "offsets past the end": dict(offsets=torch.tensor([0, 3, 8])),
    "offsets before the start": dict(offsets=torch.tensor([-2, 3, 7])),
    "offsets that decrease": dict(offsets=torch.tensor([0, 5, 3])),
}

AnyBags = TypeVar("AnyBags", bound="Bags")


@dataclass
class Bags:
    """These arguments, in the ops' order. The cases of an op add its own."""

    table: torch.Tensor
    scale: torch.Tensor | None
    target_rows: torch.Tensor
    history_rows: torch.Tensor
    offsets: torch.Tensor
    bag_index: torch.Tensor | None

    @property
    def arguments(self) -> tuple:
        return tuple(self.__dict__.values())

    def on(self: AnyBags, device: str) -> AnyBags:
        return type(self)(*(a.to(device) if isinstance(a, torch.Tensor) else a for a in self.arguments))

    def strided(self: AnyBags) -> AnyBags:
        """The same values with gaps between them in memory, and other values in the gaps."""
        return type(self)(*(strided(a) if isinstance(a, torch.Tensor) else a for a in self.arguments))

    def dequantised(self) -> np.ndarray:
        """The table in float64, [R, M]; of int8 without a scale, rows of norm 1."""
        table = self.table.double().numpy()
        if self.scale is not None:
            return table * self.scale.double().numpy()[:, None]
        return table / np.linalg.norm(table, axis=1, keepdims=True) if self.table.dtype == torch.int8 else table

    def bag_of(self) -> np.ndarray:
        """Bag of each target, [B]."""
        return np.arange(len(self.target_rows)) if self.bag_index is None else self.bag_index.long().numpy()


def strided(tensor: torch.Tensor) -> torch.Tensor:
    wide = torch.full((*tensor.shape[:-1], tensor.shape[-1] * 2), 1, dtype=tensor.dtype)
    wide[..., ::2] = tensor
    return wide[..., ::2]


def random_bags(
    draw: np.random.Generator,
    lengths: list[int],
    width: int,
    *,
    dtype: torch.dtype = torch.float32,
    index_dtype: torch.dtype = torch.int64,
    shared_by: int | None = None,
    rows: int = 40,
    before: int = 0,
    after: int = 0,
) -> Bags:
    """Random unit vectors, a tenth of the rows missing.

    ``lengths`` of the bags; ``shared_by`` targets with a random bag each, None: one target for each bag.
    ``before`` and ``after``: behaviours in the history that no bag covers.
    """
    vectors = draw.normal(size=(rows, width)) + 0.7 * draw.normal(size=(1, width))  # shared part: many similarities > 0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scale = None
    if dtype == torch.int8:
        values = np.rint(vectors * 127 / np.abs(vectors).max(axis=1, keepdims=True))
        table = torch.from_numpy(values).to(torch.int8)
        scale = torch.from_numpy(1 / np.linalg.norm(values, axis=1)).float()
    else:
        table = torch.from_numpy(vectors).to(dtype)
    bag_index = None if shared_by is None else draw.integers(0, max(1, len(lengths)), shared_by if lengths else 0)
    targets = draw.integers(0, rows, len(lengths) if bag_index is None else len(bag_index))
    history = draw.integers(0, rows, before + sum(lengths) + after)
    targets[draw.random(len(targets)) < 0.1] = -1
    history[draw.random(len(history)) < 0.1] = -1
    return Bags(
        table,
        scale,
        torch.from_numpy(targets).to(index_dtype),
        torch.from_numpy(history).to(index_dtype),
        torch.tensor([before, *(before + np.cumsum(lengths, dtype=np.int64)).tolist()], dtype=index_dtype),
        None if bag_index is None else torch.from_numpy(bag_index).to(index_dtype),
    )


def exact_bags(bags: Bags, draw: np.random.Generator) -> Bags:
    """The same bags over vectors whose products and sums are exact in float32, in any order. Norms are around 1."""
    rows, width = bags.table.shape
    unit = 2.0 ** -(round(np.log2(width) / 2) + 1)
    values = torch.from_numpy(draw.integers(-2, 3, (rows, width)))
    if bags.scale is not None:
        return replace(bags, table=values.to(torch.int8), scale=torch.full((rows,), unit))
    return replace(bags, table=(values * unit).to(bags.table.dtype))


def table_beyond_32_bits(rows: list[int], draw: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """An int8 table of more than 2 ** 31 bytes and its scale; only ``rows`` are filled, and only they take memory."""
    table = torch.empty(2**31 // 64 + 100, 64, dtype=torch.int8)
    scale = torch.empty(len(table))
    table[rows] = torch.from_numpy(draw.integers(-127, 128, (len(rows), 64))).to(torch.int8)
    scale[rows] = 1 / table[rows].float().norm(dim=1)
    return table, scale
