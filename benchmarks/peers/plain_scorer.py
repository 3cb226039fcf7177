"""The exported model's forward in plain PyTorch, as it is written without this project's kernels; eager or compiled.

The same parameters, features and HTTP stack. Histories are neither padded nor repeated: the user's embeddings and
vectors are looked up once and broadcast over the candidates. There are three, each written with more care:

    layers   the ID attention layer by layer, as its module has it; MAKE's first layer split by its linearity, as
             otherwise there would be tensors of [N, L, 4M]
    split    both attentions' first layers are split: a target's part and a behaviour's part are computed once, and what
             is left are the products of both; activations are in place
    folded   as far as algebra goes, and our kernels: the target is folded into the weights, so that one matrix product
             makes the hidden units of all pairs, and no tensor of [N, L, M] is made either
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import nn

from embeddings.frozen.table import FrozenTable
from recsys.exported.model import ExportedModel
from recsys.features.request_rows import RequestRows
from recsys.models.din import DINArch
from recsys.models.make import MAKE, MAKEFeatures
from recsys.models.module_types import modules_of
from recsys.models.multimodal import ModalityFeatures, TierFeatures
from recsys.models.target_attention import TargetAttention

Tables = dict[str, torch.Tensor]
How = Literal["layers", "split", "folded"]


class PlainScorer:
    """Logits of a request's candidates, for the modes simtier and simtier+make of the architecture din."""

    def __init__(self, model: ExportedModel, compiled: bool, how: How) -> None:
        arch = model.arch
        assert isinstance(arch, DINArch)
        self._model, self._arch, self._how = model, arch, how
        rows = {name: np.arange(entry.rows) for name, entry in model.manifest.tables.items()}
        self._tables = {name: table.embeddings(rows[name]) for name, table in model.tables.items()}
        forward: Callable[..., torch.Tensor] = self._forward
        self._call = torch.compile(forward, dynamic=True) if compiled else forward

    @torch.inference_mode()
    def score(self, rows: RequestRows) -> torch.Tensor:
        """As ``ExportedModel.score``."""
        ids = {name: torch.from_numpy(bags.values) for name, bags in rows.ids.items()}
        frozen = {name: (r.target, r.history) for name, r in rows.frozen.items()}
        return self._call(rows.dense, ids, frozen)

    def _forward(
        self, dense: torch.Tensor, ids: dict[str, torch.Tensor], frozen: dict[str, tuple[torch.Tensor, torch.Tensor]]
    ) -> torch.Tensor:
        schema, arch, count = self._model.schema, self._arch, dense.shape[0]

        def embedded(name: str) -> torch.Tensor:
            table = schema.feature(name).table
            assert table is not None
            return nn.functional.embedding(ids[name], self._tables[table])

        features = [dense]
        features += [embedded(f.name).expand(count, -1) for f in schema.pooled]
        features += [embedded(f.name).expand(count, -1) for f in arch.ids]
        for f, attention in zip(arch.sequences, arch.attention.values(), strict=True):
            assert isinstance(attention, TargetAttention) and f.target is not None
            features.append(_attended(attention, embedded(f.target), embedded(f.name), self._how))
        for module in modules_of(ModalityFeatures, arch.multimodal.values()):
            table = module.table
            assert isinstance(table, FrozenTable) and table.scale is None
            targets, history = (_vectors(table.table, r) for r in frozen[module.modality])
            known = (frozen[module.modality][0] >= 0).unsqueeze(1) & (frozen[module.modality][1] >= 0)
            for part in module.parts:
                if isinstance(part, MAKEFeatures):
                    features.append(_make(part.make, targets, history, known, self._how))
                else:
                    assert isinstance(part, TierFeatures)
                    features.append(_tiers(targets @ history.T, known, part.width))
        return arch.over.layers(torch.cat(features, dim=1)).squeeze(1)


def _attended(unit: TargetAttention, target: torch.Tensor, behaviours: torch.Tensor, how: How) -> torch.Tensor:
    """target [N, D], behaviours [L, D]: [N, D]."""
    if how == "layers":
        keys = behaviours.unsqueeze(0).expand(target.shape[0], -1, -1)
        pairs = torch.cat([keys, keys * target.unsqueeze(1)], dim=2)
        return unit.score(unit.pair(pairs) + unit.query(target).unsqueeze(1)).squeeze(2) @ behaviours
    of_key, of_product = unit.pair.weight.chunk(2, dim=1)
    hidden = _products(target, behaviours, of_product, how)
    hidden.add_(unit.query(target)).add_((behaviours @ of_key.T).unsqueeze(1))
    for layer in unit.score:
        hidden = nn.functional.silu(hidden, inplace=True) if isinstance(layer, nn.SiLU) else layer(hidden)
    return hidden.squeeze(2).T @ behaviours


def _products(target: torch.Tensor, behaviours: torch.Tensor, weight: torch.Tensor, how: How) -> torch.Tensor:
    """What ``weight`` [H, D] makes of products of target and behaviour: [L, N, H]."""
    if how != "folded":
        return (behaviours.unsqueeze(1) * target) @ weight.T
    of_targets = (target.unsqueeze(1) * weight).flatten(0, 1)
    return (behaviours @ of_targets.T).view(behaviours.shape[0], target.shape[0], weight.shape[0])


def _vectors(table: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    return table.index_select(0, rows.clamp(min=0)) * (rows >= 0).unsqueeze(1)


def _tiers(cosines: torch.Tensor, known: torch.Tensor, count: int) -> torch.Tensor:
    """log(1 + behaviours a tier): [N, count]."""
    tier = ((cosines + 1) * (count / 2)).long().clamp(0, count - 1)
    return torch.zeros(cosines.shape[0], count).scatter_add_(1, tier, known.float()).log1p()


def _make(make: MAKE, targets: torch.Tensor, history: torch.Tensor, known: torch.Tensor, how: How) -> torch.Tensor:
    """v_MAKE, the activations of every layer, the logit: [N, M + sum of H_i + 1]."""
    unit = make.attention
    of_query, of_key, of_difference, of_product = (unit.weight * unit.spread).chunk(4, dim=1)
    query = targets @ (of_query + of_difference).T + unit.bias
    if how == "layers":
        key = history @ (of_key - of_difference).T
        hidden = query.unsqueeze(1) + key.unsqueeze(0) + (targets.unsqueeze(1) * history.unsqueeze(0)) @ of_product.T
        hidden = torch.where(hidden > 0, hidden, unit.slope * hidden)
        return _mlp(make, targets, history, (hidden @ unit.score) * known)
    hidden = _products(targets, history, of_product, how)
    hidden.add_(query).add_((history @ (of_key - of_difference).T).unsqueeze(1))
    hidden = nn.functional.prelu(hidden.view(-1, hidden.shape[2]), unit.slope).view(hidden.shape)
    return _mlp(make, targets, history, (hidden @ unit.score).T * known)


def _mlp(make: MAKE, targets: torch.Tensor, history: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    scale = make.table.width**0.5
    pooled = weights @ history * scale
    flow, outputs = torch.cat([pooled, targets * scale, pooled * targets * scale], dim=1), [pooled]
    for layer in make.layers:
        flow = nn.functional.silu(layer(flow))
        outputs.append(flow)
    return torch.cat([*outputs, make.logit(flow)], dim=1)
