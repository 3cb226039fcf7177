"""InteractionArch and OverArch: features to one logit."""

from collections.abc import Sequence

import torch
from torch import nn
from torchrec.modules.crossnet import LowRankCrossNet

from recsys.models.cost import Cost, linear_cost, parameter_cost
from recsys.models.row_blocks import first_rows, whole_blocks


class InteractionArch(nn.Module):
    """Features side by side, or crossed with each other.

    Crossed is the low-rank cross network of DCN V2 (Wang et al., WWW 2021, eq. 2), beside the plain concatenation.

    Args:
        width: of all features together.
        cross_layers: 0 for features side by side alone.
        cross_rank: of each cross layer.
    """

    def __init__(self, width: int, cross_layers: int = 0, cross_rank: int = 64) -> None:
        super().__init__()
        self.cross = LowRankCrossNet(width, cross_layers, cross_rank) if cross_layers else None
        self.width = 2 * width if cross_layers else width

    def forward(self, flat: torch.Tensor) -> torch.Tensor:
        """Features side by side, [B, F], to [B, width]."""
        return flat if self.cross is None else torch.cat([flat, self._crossed(self.cross, flat)], dim=1)

    def _crossed(self, cross: LowRankCrossNet, flat: torch.Tensor) -> torch.Tensor:
        """x_l+1 = x_0 * (W V x_l + b) + x_l, in whole blocks: [B, F]."""
        result = flat
        for v, w, bias in zip(cross.V_kernels, cross.W_kernels, cross.bias, strict=True):
            inner = nn.functional.linear(whole_blocks(result), v)
            result = flat * (first_rows(nn.functional.linear(whole_blocks(inner), w), flat.shape[0]) + bias) + result
        return result

    def cost(self) -> Cost:
        """Of the cross layers; the width of the result is counted where it is held."""
        return parameter_cost(self.parameters())


class OverArch(nn.Module):
    """The final MLP: [B, width] to logits [B].

    Args:
        hidden: widths of its hidden layers, each followed by SiLU and, where ``dropout`` is not 0, dropout.
    """

    def __init__(self, width: int, hidden: Sequence[int], dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for fan_out in hidden:
            layers += [nn.Linear(width, fan_out), nn.SiLU()]
            if dropout:
                layers.append(nn.Dropout(dropout))
            width = fan_out
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features [B, width] to logits [B]."""
        flow = features
        for layer in self.layers:
            flow = layer(whole_blocks(flow))
        return first_rows(flow, features.shape[0]).squeeze(1)

    def cost(self) -> Cost:
        """Of its layers."""
        return sum((linear_cost(layer) for layer in self.layers if isinstance(layer, nn.Linear)), Cost())
