"""What the reader hands to the model: one batch of impressions."""

from dataclasses import dataclass, fields, replace
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
    repeated leading rows that another batch has too, so that all ranks' batches are of one size; never in
             shuffled batches, where it does not matter; scores leave them out
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
