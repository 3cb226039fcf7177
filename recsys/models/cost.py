"""What the dense part of a model costs, counted on the model itself, on the meta device."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from embeddings.planner.planner_input import ID_BYTES, ModelCost
from embeddings.tables import TableConfig
from recsys.models.config import ModelConfig
from recsys.models.ctr import DenseArch, dense_arch
from recsys.models.make import MAKEAttention
from recsys.schema import Schema

# FLOPs for each weight and row: a multiplication and an addition forward, two of each backward
_FORWARD, _TRAINING = 2, 6


@dataclass(frozen=True)
class _Vectors:
    """Stands for a frozen table of which only the width is known."""

    width: int


def footprint(
    schema: Schema,
    config: ModelConfig,
    tables: list[TableConfig],
    lengths: Mapping[str, float],
    widths: Mapping[str, int],
) -> ModelCost:
    """Parameters, FLOPs, activations and batch bytes of one example.

    Args:
        lengths: feature -> mean ids a row; 1 where absent.
        widths: modality -> width of its vectors, of the modalities that the model uses.
    """
    frozen = {m: _Vectors(width) for m, width in widths.items()}
    with torch.device("meta"):
        arch = dense_arch(schema, config, tables, frozen)  # type: ignore[arg-type]
    flops = 0.0
    activations: Counter[str] = Counter()  # by part of the model
    counted = 0
    for name, module in arch.named_modules():
        if isinstance(module, MAKEAttention):
            length = lengths.get(schema.modalities[_modality(name, config)].history, 1.0)
            hidden, columns = module.weight.shape
            # folding the target into an H x M matrix, then that matrix and the weighted sum for each behaviour; the
            # op keeps nothing of it but v_MAKE, which goes on beside the target's vector
            flops += _flops(module) * (hidden * columns + length * (hidden + 1) * module.width)
            activations[_part(name)] += 4 * module.width
            counted += sum(p.numel() for p in module.parameters())
        if not isinstance(module, nn.Linear):
            continue
        rows = _rows(name, lengths)
        flops += _flops(module) * rows * module.weight.numel()
        activations[_part(name)] += rows * 2 * module.out_features  # before and after its activation
        if name.endswith(".pair"):  # behaviours beside their products, the targets spread out, the weighted sum
            activations[_part(name)] += rows * 2 * module.in_features
        counted += sum(p.numel() for p in module.parameters())
    parameters = sum(p.numel() for p in arch.parameters())
    flops += _TRAINING * (parameters - counted)  # cross layers
    features = 0.0
    if isinstance(arch, DenseArch):
        widths_of = {f: t.embedding_dim for t in tables for f in t.features}
        features = 2 * sum(widths_of[f.name] for f in schema.pooled) + 2 * arch.interaction.width
    for name, m in frozen.items():
        length = lengths.get(schema.modalities[name].history, 1.0)
        each = 2 * m.width * ("vector" in config.parts(name)) + config.takes_cosines(name)
        activations[f"vectors.{name}"] = length * each
    ids = sum(lengths.get(f.name, 1.0) for f in schema.features if f.kind != "dense")
    rows_of = sum(lengths.get(schema.modalities[m].history, 1.0) + 2 for m in frozen)
    batch = ID_BYTES * (ids + rows_of + 2 * len(schema.features) + 3)
    return ModelCost(
        parameters=parameters,
        flops=flops,
        activations=features + sum(activations.values()),
        # without a backward a part leaves nothing but its features
        eval_activations=features + max(activations.values()),
        batch_bytes=batch,
    )


def _part(name: str) -> str:
    """The part of the model that a layer is in: one history's attention, one modality, the last layers."""
    return ".".join(name.split(".")[: 2 if name.startswith(("attention.", "multimodal.")) else 1])


def _flops(module: nn.Module) -> int:
    """For each weight and row; of a frozen MAKE's layers the forward alone."""
    return _TRAINING if any(p.requires_grad for p in module.parameters()) else _FORWARD


def _modality(name: str, config: ModelConfig) -> str:
    """The modality of MAKE's attention ``name``: multimodal.NAME.parts.0.make.attention, or make.attention alone."""
    return config.alone or name.split(".")[1]


def _rows(name: str, lengths: Mapping[str, float]) -> float:
    """How often a layer runs for one example: once, or for every behaviour of a history."""
    part, _, rest = name.partition(".")
    sequence, _, layer = rest.partition(".")
    return lengths.get(sequence, 1.0) if part == "attention" and layer != "query" else 1.0
