"""DIN's target attention over a jagged history."""

import itertools

import torch
from torch import nn


def bag_of(lengths: torch.Tensor, total: int) -> torch.Tensor:
    """For each behaviour its bag: lengths [2, 0, 1] give [0, 0, 2].

    lengths  [B]  int
    returns  [total]  int64
    """
    bags = torch.arange(lengths.numel(), device=lengths.device)
    return torch.repeat_interleave(bags, lengths, output_size=total)


class TargetAttention(nn.Module):
    """Sum of the behaviours, each weighted by its relevance to the target, without softmax.

    Zhou et al., Deep Interest Network (KDD 2018), eq. 3. The activation unit sees [q; k; q - k; q * k]. Its first
    layer is linear in q, k and q * k alone, so q - k needs no columns of its own, and q's part is computed once per
    target instead of once per behaviour.
    """

    def __init__(self, width: int, hidden: list[int]) -> None:
        super().__init__()
        self.query = nn.Linear(width, hidden[0])
        self.pair = nn.Linear(2 * width, hidden[0], bias=False)
        layers: list[nn.Module] = [nn.SiLU()]
        for fan_in, fan_out in itertools.pairwise(hidden):
            layers += [nn.Linear(fan_in, fan_out), nn.SiLU()]
        self.score = nn.Sequential(*layers, nn.Linear(hidden[-1], 1))

    def forward(self, target: torch.Tensor, behaviours: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Pool each bag.

        target      [B, D]
        behaviours  [T, D]  bag after bag
        lengths     [B]     int; they sum to T; 0 is allowed
        returns     [B, D]  zeros for an empty bag
        """
        bags = bag_of(lengths, behaviours.shape[0])
        pairs = torch.cat([behaviours, behaviours * target.index_select(0, bags)], dim=1)
        weights = self.score(self.pair(pairs) + self.query(target).index_select(0, bags))
        pooled = torch.zeros_like(target, dtype=behaviours.dtype)
        return pooled.index_add(0, bags, (weights * behaviours).to(pooled.dtype))
