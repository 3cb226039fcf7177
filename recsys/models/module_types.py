"""Types of submodules: what torch's containers hold, as the class that it is, and a part of a modality's features."""

from collections.abc import Iterable
from typing import TypeVar

import torch
from torch import nn

from embeddings.frozen.frozen_rows import FrozenRows
from recsys.models.cost import Cost

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def modules_of(kind: type[ModuleT], modules: Iterable[nn.Module]) -> list[ModuleT]:
    """``modules``, all of which are of ``kind``, such as the values of a ModuleDict, which knows nn.Module alone."""
    typed = []
    for module in modules:
        assert isinstance(module, kind)
        typed.append(module)
    return typed


class FeaturesPart(nn.Module):
    """A part of what one modality's rows are turned into.

    width     of its features
    gathered  numbers of each behaviour that it holds
    """

    width: int
    gathered: int

    def forward(self, rows: FrozenRows) -> torch.Tensor:
        """Rows to [B, width]."""
        raise NotImplementedError

    def cost(self, length: float) -> Cost:
        """Of a history of ``length`` behaviours, without what is ``gathered``."""
        raise NotImplementedError
