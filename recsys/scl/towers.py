"""Two-tower model: the encoders of queries and of items in one module, and the temperature."""

import torch
from torch import nn

from recsys.scl.encoders.encoder import Encoder, joined
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
