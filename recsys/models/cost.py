"""Model cost for the planner: parameters, FLOPs and activations of the dense part, on the meta device.

Each module of a model says its own ``cost``; here they are added up. Counts are of one example, in float32 numbers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from embeddings.planner.planner_input import ID_BYTES, ModelCost
from embeddings.tables import TableConfig
from recsys.models.config import ArchConfig
from recsys.models.registry import arch_class
from recsys.schema import Schema

# FLOPs for each weight and row: a multiplication and an addition forward, two of each backward
_FORWARD, _TRAINING = 2, 6


@dataclass(frozen=True)
class Cost:
    """What a module costs for one example.

    flops             forward and, of what is trained, backward
    activations       numbers that are kept until the backward, or that live beside those
    eval_activations  numbers that are there at once in a forward without a backward
    """

    flops: float = 0.0
    activations: float = 0.0
    eval_activations: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        """Of two modules whose activations are there at once."""
        return Cost(
            self.flops + other.flops,
            self.activations + other.activations,
            self.eval_activations + other.eval_activations,
        )


def one_by_one(costs: Iterable[Cost], features: float = 0.0) -> Cost:
    """Of modules of which each, without a backward, leaves nothing but its share of ``features`` numbers."""
    costs = list(costs)
    return Cost(
        flops=sum(c.flops for c in costs),
        activations=features + sum(c.activations for c in costs),
        eval_activations=features + max((c.eval_activations for c in costs), default=0.0),
    )


def held(numbers: float) -> Cost:
    """Of ``numbers`` that are kept, and cost no FLOPs worth counting."""
    return Cost(activations=numbers, eval_activations=numbers)


def flops_per_weight(module: nn.Module) -> int:
    """FLOPs for each weight and row: 6 where ``module`` is trained, 2 where it is frozen."""
    return _TRAINING if any(p.requires_grad for p in module.parameters()) else _FORWARD


def linear_cost(layer: nn.Linear, rows: float = 1.0) -> Cost:
    """Of a layer that runs on ``rows`` rows for one example; its outputs are held before and after the activation."""
    flops = flops_per_weight(layer) * rows * layer.weight.numel()
    return Cost(flops) + held(rows * 2 * layer.out_features)


def parameter_cost(parameters: Iterable[nn.Parameter]) -> Cost:
    """Of trained parameters that each meet one row for one example, and whose outputs are counted elsewhere."""
    return Cost(flops=_TRAINING * sum(p.numel() for p in parameters))


@runtime_checkable
class _HasCost(Protocol):
    """What an architecture has (``Arch``, which imports this file)."""

    def cost(self, lengths: Mapping[str, float]) -> Cost: ...


@dataclass(frozen=True)
class _FrozenWidth:
    """Stands for a frozen table of which only the width is known."""

    width: int


def model_cost(
    schema: Schema,
    config: ArchConfig,
    tables: list[TableConfig],
    lengths: Mapping[str, float],
    widths: Mapping[str, int],
) -> ModelCost:
    """Parameters, FLOPs, activations and batch bytes of one example, for the planner.

    Args:
        lengths: feature -> mean ids a row; 1 where absent.
        widths: modality -> width of its vectors, of the modalities that the model uses.
    """
    frozen = {name: _FrozenWidth(width) for name, width in widths.items()}
    with torch.device("meta"):
        arch = arch_class(config.arch)(schema, config, tables, frozen)
    assert isinstance(arch, _HasCost)
    cost = arch.cost(lengths)
    ids = sum(lengths.get(f.name, 1.0) for f in schema.features if f.kind != "dense")
    frozen_rows = sum(lengths.get(schema.modalities[name].history, 1.0) + 2 for name in widths)
    return ModelCost(
        parameters=sum(p.numel() for p in arch.parameters()),
        flops=cost.flops,
        activations=cost.activations,
        eval_activations=cost.eval_activations,
        batch_bytes=ID_BYTES * (ids + frozen_rows + 2 * len(schema.features) + 3),
    )
