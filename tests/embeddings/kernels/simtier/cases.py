"""Batches for SimTier whose answer no rounding can change, and that answer from numpy's histogram."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from tests.embeddings.kernels.bags import Bags, exact_bags, random_bags

MARGIN = 1e-3  # distance from a tier's edge within which float32 and float64 may disagree


@dataclass
class Case(Bags):
    """The op's arguments."""

    num_tiers: int

    def bags(self) -> list[list[int]]:
        """History rows of each target."""
        begin = self.offsets.tolist()
        return [self.history_rows[begin[u] : begin[u + 1]].tolist() for u in self.bag_of()]

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
    seed: int, lengths: list[int], width: int, num_tiers: int, *, own_norms: bool = False, **options: Any
) -> Case:
    """``random_bags`` with no similarity within MARGIN of an edge. ``own_norms``: without a scale."""
    bags = random_bags(np.random.default_rng(seed), lengths, width, **options)
    case = Case(*bags.arguments, num_tiers)
    return away_from_edges(replace(case, scale=None) if own_norms else case)


def exact_case(seed: int, lengths: list[int], width: int, num_tiers: int, **options: Any) -> Case:
    """``exact_bags``: similarities on edges too, and however many pairs, none is left out."""
    draw = np.random.default_rng(seed)
    return Case(*exact_bags(random_bags(draw, lengths, width, **options), draw).arguments, num_tiers)


def away_from_edges(case: Case) -> Case:
    """Behaviours whose similarity to a target of theirs is within MARGIN of an inner edge, made missing."""
    vectors = case.dequantised()
    tier_position = (vectors @ vectors.T + 1) * case.num_tiers / 2
    nearest_edge = np.clip(np.rint(tier_position), 1, max(1, case.num_tiers - 1))
    near = (np.abs(tier_position - nearest_edge) * 2 / case.num_tiers < MARGIN) & (case.num_tiers > 1)
    history, begin = case.history_rows.clone(), case.offsets.tolist()
    for target, u in zip(case.target_rows.tolist(), case.bag_of(), strict=True):
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
