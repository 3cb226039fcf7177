"""The momentum encoder (MoCo): an exponential moving average of the towers, which encodes the memory bank's keys."""

import copy

import torch
from torch import nn

from recsys.scl.towers import Towers


class MomentumEncoder(nn.Module):
    """MoCo's key encoder: an exponential moving average (EMA) of ``towers``, without gradients.

    It stays in evaluation mode: BatchNorm takes its running statistics, which are averaged too. With those of the
    batch, a key would say which other items its batch has, and the loss could fall by that (He et al., 2020, section
    3.3).
    """

    def __init__(self, towers: Towers, momentum: float) -> None:
        super().__init__()
        self.towers = copy.deepcopy(towers).requires_grad_(False).eval()
        self._momentum = momentum

    @torch.no_grad()
    def ema_update(self, towers: Towers, *, copy_weights: bool = False) -> None:
        """weights = momentum * weights + (1 - momentum) * those of ``towers``; with ``copy_weights`` simply those.

        Of the buffers, running means and variances are averaged, others copied.
        """
        share = 1.0 if copy_weights else 1 - self._momentum
        averaged: list[torch.Tensor] = [*self.towers.parameters()]
        trained: list[torch.Tensor] = [*towers.parameters()]
        for (name, mine), theirs in zip(self.towers.named_buffers(), towers.buffers(), strict=True):
            if name.endswith(("running_mean", "running_var")):
                averaged.append(mine)
                trained.append(theirs)
            else:
                mine.copy_(theirs)
        torch._foreach_lerp_(averaged, trained, share)

    @torch.no_grad()
    def keys(self, items: torch.Tensor) -> torch.Tensor:
        """Vectors [B, M] float32 of decoded items [B, ...]."""
        return self.towers.item(items)
