"""Model cost for the planner: parameters, FLOPs and activations of the dense part, on the meta device."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch

from embeddings.planner.planner_input import ID_BYTES, ModelCost
from embeddings.tables import TableConfig
from recsys.models.arch import Frozen
from recsys.models.config import ArchConfig
from recsys.models.registry import arch_class
from recsys.schema import Schema


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
    frozen = cast(Frozen, {name: _FrozenWidth(width) for name, width in widths.items()})  # all that a constructor asks
    with torch.device("meta"):
        arch = arch_class(config.arch)(schema, config, tables, frozen)
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
