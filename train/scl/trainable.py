"""State of SCL training (contrastive learning): encoders, their optimizer, momentum encoder, memory bank."""

from dataclasses import dataclass

import torch
from torch import nn

from recsys.scl.memory_bank import MemoryBank
from recsys.scl.momentum_encoder import MomentumEncoder
from recsys.scl.towers import Towers


@dataclass(frozen=True)
class SCLTrainable:
    """All that training changes. ``model`` is ``towers``, in DistributedDataParallel where there are several ranks."""

    model: nn.Module
    towers: Towers
    optimizer: torch.optim.Optimizer
    momentum_encoder: MomentumEncoder | None
    bank: MemoryBank | None
