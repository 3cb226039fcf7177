"""Transformer text encoder, a small one over word pieces, which trains on a CPU in minutes."""

import torch
from torch import nn

from recsys.scl.encoders.tokenizer import PADDING


class Transformer(nn.Module):
    """Token ids into features: pre-norm layers (torch's), the mean over a text's tokens.

    ids      [B, L]  int64, -1 is padding; each row has a token
    returns  [B, hidden]
    """

    def __init__(self, vocabulary: int, max_length: int, hidden: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, hidden)
        self.places = nn.Embedding(max_length, hidden)
        for table in (self.tokens, self.places):
            nn.init.normal_(table.weight, std=0.02)
        layer = nn.TransformerEncoderLayer(
            hidden, heads, 4 * hidden, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(hidden)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        there = ids != PADDING
        x = self.tokens(ids.clamp(min=0)) + self.places.weight[: ids.size(1)]
        x = self.norm(self.layers(x, src_key_padding_mask=~there))
        return mean_of_tokens(x, there)


def mean_of_tokens(x: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """The mean of x [B, L, H] over the tokens that are ``there`` [B, L] bool: [B, H]."""
    weights = there.unsqueeze(2).to(x.dtype)
    return (x * weights).sum(1) / weights.sum(1).clamp(min=1)
