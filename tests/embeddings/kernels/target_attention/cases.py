"""Batches for DIN's target attention, and its value from numpy in float64 with the size of each entry beside it.

Independent of ``reference.py``: all pairs of a target at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tests.embeddings.kernels.bags import strided

# Allowed error of an entry over its size: what absolute values of all terms come to. Float32 needs a fifth of it.
TOLERANCE = 3e-7
STEEPEST = 1.1  # of silu


@dataclass
class Case:
    """The op's arguments, in its order."""

    target: torch.Tensor
    behaviours: torch.Tensor
    offsets: torch.Tensor
    bag_index: torch.Tensor | None
    query: torch.Tensor
    query_bias: torch.Tensor
    pair: torch.Tensor
    weights: list[torch.Tensor]
    biases: list[torch.Tensor]
    gamma: torch.Tensor | None = None
    cosines: torch.Tensor | None = None
    softmax: bool = False

    @property
    def arguments(self) -> tuple:
        return tuple(self.__dict__.values())

    def map(self, function: Callable[[torch.Tensor], torch.Tensor]) -> "Case":
        """The case with the function of every tensor in it."""

        def of(value: Any) -> Any:
            if isinstance(value, list):
                return [function(v) for v in value]
            return function(value) if isinstance(value, torch.Tensor) else value

        return Case(*map(of, self.arguments))

    def strided(self) -> "Case":
        """The same values with gaps between them in memory, and other values in the gaps."""
        return self.map(strided)

    def bags(self) -> list[tuple[int, int, int]]:
        """Of each target: where its bag begins and ends, and where its cosines begin."""
        ends, found, place = self.offsets.tolist(), [], 0
        for b in range(len(self.target)):
            bag = b if self.bag_index is None else int(self.bag_index[b])
            found.append((ends[bag], ends[bag + 1], ends[bag] if self.bag_index is None else place))
            place += ends[bag + 1] - ends[bag]
        return found


def float64(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-np.clip(x, -700, None)))


def expected(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """The op's result, and the size of each entry: how far rounding may move it, over the unit of rounding."""
    value = np.zeros(case.target.shape)
    size = np.zeros(case.target.shape)
    query, bias, pair = float64(case.query), float64(case.query_bias), float64(case.pair)
    layers = [(float64(w), float64(b)) for w, b in zip(case.weights, case.biases, strict=True)]
    for b, (begin, end, place) in enumerate(case.bags()):
        q, keys = float64(case.target[b]), float64(case.behaviours[begin:end])
        pairs = np.concatenate([keys, keys * q], axis=1)
        hidden = pairs @ pair.T + query @ q + bias
        bound = np.abs(pairs) @ np.abs(pair).T + np.abs(query) @ np.abs(q) + np.abs(bias)
        for weight, offset in layers:
            hidden = silu(hidden) @ weight.T + offset
            bound = STEEPEST * bound @ np.abs(weight).T + np.abs(offset)
        alpha, bound = hidden[:, 0], bound[:, 0]
        if case.gamma is not None and case.cosines is not None:
            r, gamma = float64(case.cosines[place : place + end - begin]), float64(case.gamma)
            own, of_cosines, of_products = gamma[0], *np.split(gamma[1:], 2)
            alpha = own * alpha + r @ of_cosines + alpha * (r @ of_products)
            bound = bound * (abs(own) + np.abs(r) @ np.abs(of_products)) + np.abs(r) @ np.abs(of_cosines)
        if case.softmax and len(alpha):
            powers = np.exp(alpha - alpha.max())
            alpha = powers / powers.sum()
            bound = alpha * (1 + bound + alpha @ bound)
        value[b], size[b] = alpha @ keys, bound @ np.abs(keys)
    return value, size


def error(result: torch.Tensor, value: np.ndarray, size: np.ndarray) -> float:
    """Largest error of an entry over its size; infinite for a wrong dtype or shape, or NaN."""
    if result.dtype != torch.float32 or result.shape != value.shape:
        return float("inf")
    errors = np.abs(float64(result) - value) / np.maximum(size, np.finfo(np.float32).tiny)
    return float(np.where(np.isnan(errors), np.inf, errors).max(initial=0))


def agrees(function: Callable[..., torch.Tensor], case: Case, tolerance: float = TOLERANCE) -> bool:
    """Is the function's value the expected one?"""
    return error(function(*case.arguments), *expected(case)) <= tolerance


def random_case(
    seed: int,
    lengths: list[int],
    width: int,
    hiddens: list[int],
    *,
    shared_by: int | None = None,
    modalities: int = 0,
    softmax: bool = False,
    index_dtype: torch.dtype = torch.int64,
    before: int = 0,
    after: int = 0,
    spread: float = 1.0,
) -> Case:
    """Random numbers. ``lengths`` of the bags; ``shared_by`` targets with a random bag each, None: one for each bag.

    ``before`` and ``after``: behaviours that no bag covers. ``spread`` of the first layer's units.
    """
    draw = np.random.default_rng(seed)

    def normal(*shape: int, by: float = 1.0) -> torch.Tensor:
        return torch.from_numpy(draw.normal(size=shape) * by).float()

    bag_index = None if shared_by is None else draw.integers(0, max(1, len(lengths)), shared_by if lengths else 0)
    targets = len(lengths) if bag_index is None else len(bag_index)
    total = before + sum(lengths) + after
    outs = [*hiddens[1:], 1]
    case = Case(
        normal(targets, width),
        normal(total, width),
        torch.tensor([before, *(before + np.cumsum(lengths, dtype=np.int64)).tolist()], dtype=index_dtype),
        None if bag_index is None else torch.from_numpy(bag_index).to(index_dtype),
        normal(hiddens[0], width, by=spread * width**-0.5),
        normal(hiddens[0], by=0.5 * spread),
        normal(hiddens[0], 2 * width, by=spread * width**-0.5),
        [normal(out, fan_in, by=fan_in**-0.5) for out, fan_in in zip(outs, hiddens, strict=True)],
        [normal(out, by=0.5) for out in outs],
        softmax=softmax,
    )
    if modalities:
        pairs = total if bag_index is None else sum(end - begin for begin, end, _ in case.bags())
        case.gamma = normal(1 + 2 * modalities)
        case.cosines = torch.from_numpy(draw.uniform(-1, 1, (pairs, modalities))).float()
    return case
