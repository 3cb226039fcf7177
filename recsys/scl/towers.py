"""The encoders of queries and items in one module, and their momentum twins."""

import copy

import torch
from torch import nn

from recsys.scl.encoders import Encoder, joined
from recsys.scl.losses import Temperature


class Towers(nn.Module):
    """One encoder for queries and items of one kind, two where the kinds differ; and the temperature.

    forward takes decoded content: queries and positives [B, ...], negatives [H, ...]; and returns unit vectors [B, M],
    [B, M], [H, M] and 1 / tau [].
    """

    def __init__(self, query: Encoder, item: Encoder | None, temperature: float) -> None:
        super().__init__()
        self.query = query
        self.own_item = item
        self.temperature = Temperature(temperature)

    @property
    def item(self) -> Encoder:
        return self.query if self.own_item is None else self.own_item

    def forward(
        self, queries: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        sizes = [queries.size(0), positives.size(0), negatives.size(0)]
        if self.own_item is None:
            q, p, n = self.query(joined([queries, positives, negatives])).split(sizes)
        else:
            q = self.query(queries)
            p, n = self.own_item(joined([positives, negatives])).split(sizes[1:])
        return q, p, n, self.temperature()


class MomentumTwin(nn.Module):
    """MoCo's key encoder: follows ``towers`` as a moving average, without gradients."""

    def __init__(self, towers: Towers, momentum: float) -> None:
        super().__init__()
        self.towers = copy.deepcopy(towers).requires_grad_(False)
        self._momentum = momentum

    @torch.no_grad()
    def follow(self, towers: Towers) -> None:
        """One step towards ``towers``; buffers, such as BatchNorm's, are copied."""
        own, other = list(self.towers.parameters()), list(towers.parameters())
        torch._foreach_lerp_(own, other, 1 - self._momentum)
        for mine, theirs in zip(self.towers.buffers(), towers.buffers(), strict=True):
            mine.copy_(theirs)

    @torch.no_grad()
    def keys(self, queries: torch.Tensor, positives: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors [B, M] of queries and of positives."""
        q, p, _, _ = self.towers(queries, positives, positives[:0])
        return q, p
