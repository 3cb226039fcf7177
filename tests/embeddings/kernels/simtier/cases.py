"""Batches for SimTier whose answer no rounding can change, and that answer from numpy's histogram."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from tests.embeddings.kernels.bags import Bags, exact_bags, random_bags

MARGIN = 1e-3  # distance from a tier's edge within which float32 and float64 may disagree

SHAPES = {
    "no targets": dict(lengths=[], width=4, num_tiers=5),
    "one pair": dict(lengths=[1], width=1, num_tiers=2),
    "one tier": dict(lengths=[3, 2], width=3, num_tiers=1),
    "empty bags only": dict(lengths=[0, 0, 0], width=3, num_tiers=4),
    "empty bags between": dict(lengths=[0, 3, 0, 0, 5, 0], width=8, num_tiers=7),
    "odd": dict(lengths=[1, 7, 13], width=33, num_tiers=19),
    "many tiers": dict(lengths=[50, 50], width=16, num_tiers=256),
    "uncovered history": dict(lengths=[4, 0, 6], width=5, num_tiers=6, before=3, after=2),
    "shared bags": dict(lengths=[6, 0, 9], width=5, num_tiers=6, shared_by=11),
    "shared and uncovered": dict(lengths=[6, 4], width=5, num_tiers=6, shared_by=9, before=2, after=1),
    "bags without targets": dict(lengths=[3, 4], width=5, num_tiers=6, shared_by=0),
    "no bags, no targets, bag_index": dict(lengths=[], width=5, num_tiers=6, shared_by=0),
    "panels of a shared bag": dict(lengths=[61, 0, 130], width=64, num_tiers=20, shared_by=75),
    "wide panels": dict(lengths=[25, 1], width=128, num_tiers=256, shared_by=37),
    "production-like": dict(lengths=[20] * 40, width=64, num_tiers=20),
}


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

    def expected_cosines(self) -> np.ndarray:
        """Float64, where the op has them: as the history lies, or with shared bags a target's after the other's."""
        vectors, cosines = self.dequantised(), []
        for target, bag in zip(self.target_rows.tolist(), self.bags(), strict=True):
            cosines += [vectors[target] @ vectors[r] if target >= 0 and r >= 0 else 0.0 for r in bag]
        if self.bag_index is not None:
            return np.array(cosines)
        before, after = int(self.offsets[0]), len(self.history_rows) - int(self.offsets[-1])
        return np.concatenate([np.zeros(before), cosines, np.zeros(after)])


def agrees(function: Callable[..., torch.Tensor], case: Case) -> bool:
    """Are the function's counts exactly the expected ones?"""
    result = function(*case.arguments)
    expected = case.expected()
    return (
        result.dtype == torch.float32
        and result.shape == expected.shape
        and np.array_equal(result.cpu().numpy(), expected)
    )


def cosines_agree(
    function: Callable[..., torch.Tensor], case: Case, allowed: float | None = None, device: str = "cpu"
) -> bool:
    """Are the function's cosines right, those of missing items 0, and its counts what they are without?

    ``allowed`` error; by default float32's, and that of two bfloat16 parts, which float32 rows of shared bags may be.
    """
    expected = case.expected_cosines()
    if allowed is None:
        allowed = 2e-6 if case.bag_index is None or case.table.dtype == torch.int8 else 2e-5
    buffer, arguments = torch.zeros(len(expected), device=device), case.on(device).arguments
    counts = function(*arguments, buffer)
    cosines = buffer.cpu().double().numpy()
    right = np.abs(cosines - expected).max(initial=0) <= allowed and not cosines[expected == 0].any()
    return bool(right) and torch.equal(counts, function(*arguments))


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
