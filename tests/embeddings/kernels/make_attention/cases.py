"""Batches for MAKE's attention, and its value and gradients from numpy in float64, with their sizes beside them.

Independent of ``reference.py``: all pairs at once, a one-hot matrix sums them by target, gradients are written by hand.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from tests.embeddings.kernels.bags import Bags, random_bags

# Allowed error of an entry over its size: the same sums over absolute values. Eager float32 needs a quarter of it.
TOLERANCE = 2e-6
KINK = 1e-5  # hidden units nearer to 0, over their size, may have either sign in float32
PARAMETERS = ("weight", "bias", "slope", "score")


@dataclass
class Case(Bags):
    """The op's arguments."""

    weight: torch.Tensor
    bias: torch.Tensor
    slope: torch.Tensor
    score: torch.Tensor

    def upstream(self) -> torch.Tensor:
        """A gradient of the result, [B, M]."""
        draw = torch.Generator().manual_seed(self.history_rows.numel())
        return torch.randn(self.target_rows.numel(), self.table.shape[1], generator=draw)


class Pairs(NamedTuple):
    """Known pairs of a case: pooling [B, P] is one-hot, place [P] in the history, features [P, 4M], hidden [P, H]."""

    pooling: np.ndarray
    place: np.ndarray
    key: np.ndarray
    features: np.ndarray
    hidden: np.ndarray


def _float64(case: Case) -> list[np.ndarray]:
    return [getattr(case, name).detach().double().numpy() for name in PARAMETERS]


def pairs(case: Case, size: bool = False) -> Pairs:
    """``size``: the same sums over absolute values, which say how large an entry's rounding errors may be."""
    weight, bias, _, _ = _float64(case)
    vectors, history, target_rows = case.dequantised(), case.history_rows.long().numpy(), case.target_rows.long()
    offsets, place = case.offsets.long().numpy(), np.arange(len(history))
    begins, ends = offsets[:-1][case.bag_of()], offsets[1:][case.bag_of()]
    covers = (begins[:, None] <= place) & (place < ends[:, None]) & (history >= 0) & (target_rows.numpy() >= 0)[:, None]
    target, place = np.nonzero(covers)
    query, key = vectors[target_rows.numpy()[target]], vectors[history[place]]
    if size:
        query, key, weight, bias = np.abs(query), np.abs(key), np.abs(weight), np.abs(bias)
    difference = query + key if size else query - key
    features = np.concatenate([query, key, difference, query * key], axis=1)
    pooling = (np.arange(len(target_rows))[:, None] == target).astype(float)
    return Pairs(pooling, place, key, features, features @ weight.T + bias)


def expected(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """The op's result, and the size of each entry."""
    _, _, slope, score = _float64(case)
    pooling, _, key, _, hidden = pairs(case)
    value = pooling @ ((np.where(hidden > 0, hidden, slope * hidden) @ score)[:, None] * key)
    bound = pairs(case, size=True)
    relevance = (bound.hidden * np.maximum(1, np.abs(slope))) @ np.abs(score)
    return value, pooling @ (relevance[:, None] * bound.key)


def expected_gradients(case: Case, upstream: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Gradients of weight, bias, slope and score, and the size of each entry."""
    _, _, slope, score = _float64(case)
    pooling, _, key, features, hidden = pairs(case)
    of_relevance = np.einsum("pm,pm->p", pooling.T @ upstream, key)[:, None]
    of_hidden = of_relevance * score * np.where(hidden > 0, 1, slope)
    values = [
        of_hidden.T @ features,
        of_hidden.sum(0),
        score * (of_relevance * np.minimum(hidden, 0)).sum(0),
        (of_relevance * np.where(hidden > 0, hidden, slope * hidden)).sum(0),
    ]
    _, _, key, features, hidden = pairs(case, size=True)
    of_relevance = np.einsum("pm,pm->p", pooling.T @ np.abs(upstream), key)[:, None]
    steepest = np.maximum(1, np.abs(slope))
    of_hidden = of_relevance * np.abs(score) * steepest
    sizes = [
        of_hidden.T @ features,
        of_hidden.sum(0),
        np.abs(score) * (of_relevance * hidden).sum(0),
        (of_relevance * hidden * steepest).sum(0),
    ]
    return values, sizes


def error(result: torch.Tensor, value: np.ndarray, size: np.ndarray) -> float:
    """Largest error of an entry over its size; infinite for a wrong dtype or shape, or NaN."""
    if result.dtype != torch.float32 or result.shape != value.shape:
        return float("inf")
    errors = np.abs(result.detach().cpu().double().numpy() - value) / np.maximum(size, np.finfo(np.float32).tiny)
    return float(np.where(np.isnan(errors), np.inf, errors).max(initial=0))


def agrees(function: Callable[..., torch.Tensor], case: Case, tolerance: float = TOLERANCE) -> bool:
    """Is the function's value the expected one?"""
    return error(function(*case.arguments), *expected(case)) <= tolerance


def gradients_agree(function: Callable[..., Sequence[torch.Tensor]], case: Case, tolerance: float = TOLERANCE) -> bool:
    """Are the function's gradients, given a random one of the result, the expected ones?"""
    upstream = case.upstream()
    return gradient_error(function(upstream, *case.arguments), case, upstream) <= tolerance


def gradient_error(gradients: Sequence[torch.Tensor], case: Case, upstream: torch.Tensor) -> float:
    """Largest ``error`` of the gradients."""
    wanted = expected_gradients(case, upstream.double().numpy())
    return max(error(*each) for each in zip(gradients, *wanted, strict=True))


def random_case(seed: int, lengths: list[int], width: int, hiddens: int, **options: Any) -> Case:
    """``random_bags`` and random parameters, no hidden unit so near to 0 that float32 may take its other side."""
    draw = np.random.default_rng(seed)
    bags = random_bags(draw, lengths, width, **options)
    shapes = [(hiddens, 4 * width), (hiddens,), (hiddens,), (hiddens,)]
    spread = [1.0, 0.5, 0.5, hiddens**-0.5]
    parameters = [torch.from_numpy(draw.normal(size=s) * by).float() for s, by in zip(shapes, spread, strict=True)]
    case = Case(*bags.arguments, *parameters)
    known = pairs(case)
    near = (np.abs(known.hidden) < KINK * pairs(case, size=True).hidden).any(1)
    case.history_rows = case.history_rows.clone()
    case.history_rows[torch.from_numpy(known.place[near])] = -1
    return case
