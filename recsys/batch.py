"""One batch of impressions, as the reader hands it to the model: jagged ids and rows of frozen tables."""

from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor
from torchrec.streamable import Pipelineable

from embeddings.frozen.frozen_rows import FrozenRows

__all__ = ["Batch", "FrozenRows"]


@dataclass
class Batch(Pipelineable):
    """One batch. ``B`` impressions on this rank.

    labels   [B]       float32, 0 or 1
    dense    [B, F]    float32, F dense features in schema order; F may be 0
    pooled   KeyedJaggedTensor over schema.pooled: table rows; None without such features
    sequence KeyedJaggedTensor over schema.sequential: table rows; None without such features
    frozen   modality name -> FrozenRows
    users    [B]       int64 raw user ids (GAUC groups)
    targets  [B]       int64 raw target item ids (frequency groups)
    extra    column name -> [B] tensor, passed through to predictions (the timestamp, if any)
    bag_index feature of ``sequence`` -> [B] int64, the bag of each impression; a feature that is not in it has a bag
             for each. A request's candidates share the history of its user, whose embeddings are there once
    repeated leading rows that another batch has too, so that all ranks' batches are of one size; never in
             shuffled batches, where it does not matter; scores leave them out

    The ids of B = 3 impressions, as ``pooled`` and ``sequence`` hold them:

        impression   0        1        2
        user         [4]      [1]      [4]
        tags         [7, 2]   []       [5]

        keys         ["user", "tags"]
        values       [4, 1, 4, 7, 2, 5]       key after key, and in a key impression after impression
        lengths      [1, 1, 1, 2, 0, 1]       of key k and impression b at k * B + b
        offsets      [0, 1, 2, 3, 5, 5, 6]    its ids are values[offsets[i] : offsets[i + 1]], i = k * B + b

    Their rows in a frozen table, where 0 and 2 are of one request and share its history, and 1 has no target vector:

        impression   0        1        2
        target       9        none     4
        history      [3, 8]   []       [3, 8]

        target       [9, -1, 4]
        history      [3, 8]                   bag after bag; a bag that impressions share is there once
        offsets      [0, 2, 2]                bag u is history[offsets[u] : offsets[u + 1]]
        bag_index    [0, 1, 0]                bag of each impression; None where each has the bag of its own number
    """

    labels: torch.Tensor
    dense: torch.Tensor
    pooled: KeyedJaggedTensor | None
    sequence: KeyedJaggedTensor | None
    frozen: dict[str, FrozenRows]
    users: torch.Tensor
    targets: torch.Tensor
    extra: dict[str, torch.Tensor]
    repeated: int = 0
    bag_index: dict[str, torch.Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.labels.numel()

    def to(self, device: torch.device, non_blocking: bool = False) -> "Batch":
        return _each(self, lambda t: t.to(device=device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        return _each(self, lambda t: t.pin_memory())

    def record_stream(self, stream: Any) -> None:
        def record(t: Any) -> Any:
            t.record_stream(stream)
            return t

        _each(self, record)


def _each(value: Any, f: Any) -> Any:
    """``f`` applied to every tensor below ``value``."""
    if isinstance(value, (torch.Tensor, KeyedJaggedTensor)):
        return f(value)
    if isinstance(value, dict):
        return {k: _each(v, f) for k, v in value.items()}
    if isinstance(value, (Batch, FrozenRows)):
        return replace(value, **{x.name: _each(getattr(value, x.name), f) for x in fields(value)})
    return value
