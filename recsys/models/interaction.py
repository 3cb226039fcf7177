"""InteractionArch and OverArch: features to one logit."""

import torch
from torch import nn
from torchrec.modules.crossnet import LowRankCrossNet

from recsys.models.config import ModelConfig


class InteractionArch(nn.Module):
    """Features side by side, or crossed with each other.

    dcn is the low-rank cross network of DCN V2 (Wang et al., WWW 2021, eq. 2), beside the plain concatenation.
    """

    def __init__(self, width: int, config: ModelConfig) -> None:
        super().__init__()
        self.cross = None
        self.width = width
        if config.interaction == "dcn":
            self.cross = LowRankCrossNet(width, config.cross_layers, config.cross_rank)
            self.width = 2 * width

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        """Features [B, F_i] to [B, width]."""
        flat = torch.cat(features, dim=1)
        return flat if self.cross is None else torch.cat([flat, self.cross(flat)], dim=1)


class OverArch(nn.Module):
    """The final MLP: [B, width] to logits [B]."""

    def __init__(self, width: int, config: ModelConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for hidden in config.over_arch:
            layers += [nn.Linear(width, hidden), nn.SiLU()]
            if config.dropout:
                layers.append(nn.Dropout(config.dropout))
            width = hidden
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.layers(features).squeeze(1)
