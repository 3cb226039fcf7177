"""Batches for SimTier whose answer no rounding can change, and that answer from numpy's histogram."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

MARGIN = 1e-3  # distance from a tier's edge within which float32 and float64 may disagree
TABLE_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.int8)


@dataclass
class Case:
    """The op's arguments."""

    table: torch.Tensor
    scale: torch.Tensor | None
    target_rows: torch.Tensor
    history_rows: torch.Tensor
    offsets: torch.Tensor
    bag_index: torch.Tensor | None
    num_tiers: int

    @property
    def arguments(self) -> tuple:
        return tuple(self.__dict__.values())

    def on(self, device: str) -> "Case":
        return Case(*(a.to(device) if isinstance(a, torch.Tensor) else a for a in self.arguments))

    def dequantised(self) -> np.ndarray:
        """The table in float64, [R, M]."""
        scale = 1.0 if self.scale is None else self.scale.double().numpy()[:, None]
        return self.table.double().numpy() * scale

    def bags(self) -> list[list[int]]:
        """History rows of each target."""
        begin = self.offsets.tolist()
        bag_of = range(len(self.target_rows)) if self.bag_index is None else self.bag_index.tolist()
        return [self.history_rows[begin[u] : begin[u + 1]].tolist() for u in bag_of]

    def expected(self) -> np.ndarray:
        """Counts by numpy.histogram over float64 similarities, [B, N]."""
        vectors, edges = self.dequantised(), np.linspace(-1, 1, self.num_tiers + 1)
        counts = np.zeros((len(self.target_rows), self.num_tiers))
        for b, (target, bag) in enumerate(zip(self.target_rows.tolist(), self.bags(), strict=True)):
            known = [r for r in bag if r >= 0]
            if target >= 0 and known:
                counts[b] = np.histogram(np.clip(vectors[known] @ vectors[target], -1, 1), bins=edges)[0]
        return counts


def agrees(function: Callable[..., torch.Tensor], case: Case) -> bool:
    """Are the function's counts exactly the expected ones?"""
    got = function(*case.arguments)
    expected = case.expected()
    return got.dtype == torch.float32 and got.shape == expected.shape and np.array_equal(got.cpu().numpy(), expected)


def random_case(
    seed: int,
    lengths: list[int],
    width: int,
    num_tiers: int,
    *,
    dtype: torch.dtype = torch.float32,
    index_dtype: torch.dtype = torch.int64,
    shared_by: int | None = None,
    rows: int = 40,
    before: int = 0,
    after: int = 0,
) -> Case:
    """Random unit vectors, a tenth of the rows missing, no similarity within MARGIN of an edge.

    ``lengths`` of the bags; ``shared_by`` targets with a random bag each, None: one target for each bag.
    ``before`` and ``after``: behaviours in the history that no bag covers.
    """
    draw = np.random.default_rng(seed)
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
    case = Case(
        table,
        scale,
        torch.from_numpy(targets).to(index_dtype),
        torch.from_numpy(history).to(index_dtype),
        torch.tensor([before, *(before + np.cumsum(lengths, dtype=np.int64)).tolist()], dtype=index_dtype),
        None if bag_index is None else torch.from_numpy(bag_index).to(index_dtype),
        num_tiers,
    )
    return _away_from_edges(case)


def _away_from_edges(case: Case) -> Case:
    """Behaviours whose similarity to a target of theirs is within MARGIN of an inner edge, made missing."""
    vectors = case.dequantised()
    tier_position = (vectors @ vectors.T + 1) * case.num_tiers / 2
    nearest_edge = np.clip(np.rint(tier_position), 1, max(1, case.num_tiers - 1))
    near = (np.abs(tier_position - nearest_edge) * 2 / case.num_tiers < MARGIN) & (case.num_tiers > 1)
    history, begin = case.history_rows.clone(), case.offsets.tolist()
    bag_of = range(len(case.target_rows)) if case.bag_index is None else case.bag_index.tolist()
    for target, u in zip(case.target_rows.tolist(), bag_of, strict=True):
        for place in range(begin[u], begin[u + 1]):
            if target >= 0 and history[place] >= 0 and near[target, history[place]]:
                history[place] = -1
    return replace(case, history_rows=history)


def edge_case(num_tiers: int, similarities: list[float], dtype: torch.dtype) -> Case:
    """One target (row 0) and a behaviour for each similarity, every one exact in ``dtype``."""
    column = torch.tensor([1.0, *similarities], dtype=torch.float64).unsqueeze(1)
    scale = None
    if dtype == torch.int8:
        column, scale = column * 64, torch.full((len(column),), 1 / 64)
    table = torch.cat([column, torch.zeros_like(column)], dim=1).to(dtype)
    history = torch.arange(1, len(column))
    return Case(table, scale, torch.tensor([0]), history, torch.tensor([0, len(history)]), None, num_tiers)
