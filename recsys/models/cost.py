"""Cost of a module for one example: FLOPs, and float32 numbers that are in memory (activations).

Each module of a model has a method ``cost``, which adds up those of its parts; ``recsys.models.model_cost`` asks the
whole model.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

# FLOPs for each weight and row: a multiplication and an addition forward, two of each backward
_FORWARD, _TRAINING = 2, 6


@dataclass(frozen=True)
class Cost:
    """What a module costs for one example.

    flops             of the forward and, of what is trained, the backward
    activations       float32 numbers in memory when the backward begins: all that autograd keeps, and what is beside it
    eval_activations  float32 numbers in memory at the peak of a forward without a backward
    """

    flops: float = 0.0
    activations: float = 0.0
    eval_activations: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        """Of two modules whose activations are in memory together, with and without a backward: each figure's sum."""
        return Cost(
            self.flops + other.flops,
            self.activations + other.activations,
            self.eval_activations + other.eval_activations,
        )


def one_by_one(costs: Iterable[Cost], features: float = 0.0) -> Cost:
    """Of modules that run one after another, and write ``features`` float32 numbers in all that live throughout.

    FLOPs and ``activations`` are sums: autograd keeps every module's until the backward. ``eval_activations`` is the
    maximum: without a backward a module's are freed before the next one runs. ``features`` is added to both.
    """
    costs = list(costs)
    return Cost(
        flops=sum(c.flops for c in costs),
        activations=features + sum(c.activations for c in costs),
        eval_activations=features + max((c.eval_activations for c in costs), default=0.0),
    )


def held(numbers: float) -> Cost:
    """Of a step that leaves ``numbers`` float32 numbers in memory, with a backward or without; no FLOPs are counted."""
    return Cost(activations=numbers, eval_activations=numbers)


def flops_per_weight(module: nn.Module) -> int:
    """FLOPs for each weight and row: 6 where ``module`` is trained, 2 where it is frozen."""
    return _TRAINING if any(p.requires_grad for p in module.parameters()) else _FORWARD


def linear_cost(layer: nn.Linear, rows: float = 1.0) -> Cost:
    """Of ``layer`` and the activation function behind it, on ``rows`` rows for one example.

    FLOPs: ``flops_per_weight`` for each weight and row. Activations: for each row twice the outputs, as the layer gives
    them and as the activation function does.
    """
    flops = flops_per_weight(layer) * rows * layer.weight.numel()
    return Cost(flops) + held(rows * 2 * layer.out_features)


def parameter_cost(parameters: Iterable[nn.Parameter]) -> Cost:
    """FLOPs alone, of trained parameters that each meet one row for one example: 6 for each number.

    No activations: those of what the parameters are applied to are in another module's cost.
    """
    return Cost(flops=_TRAINING * sum(p.numel() for p in parameters))
