"""Encoder module: a content decoder, a backbone and a projection to unit vectors of width M."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


class Undecodable(ValueError):
    """Content that is no picture, or no text. ``index`` is its place in the list that was given."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index


Decoder = Callable[[Sequence[Any]], torch.Tensor]


class Encoder(nn.Module):
    """Content of one kind into unit vectors.

    ``decoder`` turns a list of raw content (bytes of pictures, or strings) into one tensor, the input of ``forward``:
    uint8 [B, 3, S, S] of pictures; int64 [B, L] of texts, token ids with -1 as padding. It is free of state and may be
    called in threads. It raises Undecodable.

    Args:
        kind: image or text.
        features: width of the backbone's output.
        about: what builds the backbone again, for ``save_encoder``.
    """

    def __init__(
        self, kind: str, backbone: nn.Module, features: int, width: int, decoder: Decoder, about: dict[str, Any]
    ) -> None:
        super().__init__()
        self.kind, self.width, self.decoder, self.about = kind, width, decoder, about
        self.backbone = backbone
        self.project = nn.Linear(features, width)

    def forward(self, content: torch.Tensor) -> torch.Tensor:
        """Unit vectors [B, M] float32 of decoded content; none of none."""
        if not content.size(0):
            return torch.zeros(0, self.width, device=content.device)
        return F.normalize(self.project(self.backbone(content)).float(), dim=-1)


def joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Decoded contents one after another; token ids of different lengths are padded."""
    if parts[0].dim() == 2:
        longest = max(p.size(1) for p in parts)
        parts = [F.pad(p, (0, longest - p.size(1)), value=-1) for p in parts]
    return torch.cat(list(parts))
