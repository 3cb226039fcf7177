"""Why a request's candidates got their scores: tiers, cosines, MAKE's own logit, and what each input changes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from embeddings.frozen.table import FrozenTable
from recsys.batch import FrozenRows
from recsys.exported.model import ExportedModel
from recsys.features.ragged import Ragged
from recsys.features.request_rows import RequestRows
from recsys.models.module_types import modules_of
from recsys.models.multimodal import ModalityFeatures
from serve.answer import Answer
from serve.scorer import Scorer


@dataclass(frozen=True)
class Explanation:
    """Of one request of N candidates.

    answer   scores and logits, as ``Scorer.score`` gives them
    without  input -> logits [N] float32 with that input missing: ``vectors: NAME``, history, user id, item id
    tiers    modality that has SimTier -> counts of behaviours by tier, [N, num_tiers] float32; the first tier has the
             behaviours most unlike the candidate
    cosines  modality -> [N, L] float32 with the behaviours, oldest first, NaN where a side has no vector or the
             candidate's history is shorter
    make     modality that has MAKE beside the ID model -> its own logit, [N] float32
    """

    answer: Answer
    without: Mapping[str, np.ndarray]
    tiers: Mapping[str, np.ndarray]
    cosines: Mapping[str, np.ndarray]
    make: Mapping[str, np.ndarray]


@torch.inference_mode()
def explain(scorer: Scorer, context: Mapping[str, Any], candidates: Mapping[str, Any]) -> Explanation:
    """Score a request and look at how, in several times the time. Raises what ``Scorer.score`` raises."""
    answer, model, rows = scorer.score_and_rows(context, candidates)
    tiers, cosines = {}, {}
    for name, store in model.stores.items():
        table, frozen, config = FrozenTable(store), rows.frozen[name], model.manifest.model
        cosines[name] = _cosines(table, frozen)
        if "simtier" in config.parts(name):
            tiers[name] = table.tier_counts(frozen, config.modality_config(name).num_tiers).numpy()
    without = {name: model.score(changed).numpy() for name, changed in _variants(model, rows).items()}
    return Explanation(answer, without, tiers, cosines, _make_logits(model, rows))


def _cosines(table: FrozenTable, rows: FrozenRows) -> np.ndarray:
    count = rows.target.numel()
    bags = rows.bag_index if rows.bag_index is not None else torch.arange(count)
    lengths = rows.offsets.diff()[bags]
    result = np.full((count, int(lengths.max()) if count else 0), np.nan, np.float32)
    flat, first = table.cosines(rows).squeeze(1).numpy(), 0
    for i, (bag, length) in enumerate(zip(bags.tolist(), lengths.tolist(), strict=True)):
        start = int(rows.offsets[bag])
        known = (rows.history[start : start + length] >= 0).numpy() & bool(rows.target[i] >= 0)
        result[i, :length] = np.where(known, flat[first : first + length], np.nan)
        first += length
    return result


def _make_logits(model: ExportedModel, rows: RequestRows) -> dict[str, np.ndarray]:
    features = modules_of(ModalityFeatures, [m for m in model.arch.modules() if isinstance(m, ModalityFeatures)])
    return {f.modality: f.make(rows.frozen[f.modality])[2].squeeze(1).numpy() for f in features if f.make is not None}


def _variants(model: ExportedModel, rows: RequestRows) -> dict[str, RequestRows]:
    """The request with one input missing, for each input that the model has."""
    schema, variants = model.schema, {}
    for name in model.stores:
        frozen = rows.frozen[name]
        blind = replace(frozen, target=torch.full_like(frozen.target, -1), history=torch.full_like(frozen.history, -1))
        variants[f"vectors: {name}"] = replace(rows, frozen={**rows.frozen, name: blind})
    sequences = [f.name for f in schema.features if f.kind == "sequence"]
    if sequences:
        ids = {name: _emptied(bags) if name in sequences else bags for name, bags in rows.ids.items()}
        frozen_rows = {
            name: _without_history(frozen) if schema.modalities[name].history in sequences else frozen
            for name, frozen in rows.frozen.items()
        }
        variants["history"] = replace(rows, ids=ids, frozen=frozen_rows)
    item = schema.feature(schema.target).source
    for label, column in (("user id", schema.user), ("item id", item)):
        names = {f.name for f in schema.features if f.kind == "id" and f.source == column and f.name in rows.ids}
        if names and model.tables:
            ids = {name: _unknown(bags) if name in names else bags for name, bags in rows.ids.items()}
            variants[label] = replace(rows, ids=ids)
    return variants


def _emptied(bags: Ragged) -> Ragged:
    return Ragged(bags.values[:0], np.zeros_like(bags.offsets))


def _unknown(bags: Ragged) -> Ragged:
    """Looked up as zeros."""
    return Ragged(np.full_like(bags.values, -1), bags.offsets)


def _without_history(rows: FrozenRows) -> FrozenRows:
    return replace(rows, history=rows.history[:0], offsets=torch.zeros_like(rows.offsets))
