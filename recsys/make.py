"""MAKE's attention over frozen vectors, as a module."""

import torch
from torch import nn

from embeddings.frozen.row_wise import RowWiseTable
from embeddings.frozen.table import FrozenTable
from recsys.batch import FrozenRows


class MAKEAttention(nn.Module):
    """DIN's target attention over one modality's frozen vectors; formula in ``embeddings.kernels.make_attention``.

    Sheng et al., CIKM 2024 (arXiv 2407.19467), MAKE: v_MAKE, before its MLP. Only the attention is trained: gradients
    never reach the table.

    Args:
        hidden: width of the attention unit, H.
    """

    def __init__(self, table: FrozenTable | RowWiseTable, hidden: int = 36) -> None:
        super().__init__()
        self.table = table
        self.width = table.width
        first = nn.Linear(4 * table.width, hidden)
        self.weight, self.bias = first.weight, first.bias
        self.slope = nn.Parameter(torch.full((hidden,), 0.25))
        self.score = nn.Parameter(nn.Linear(hidden, 1).weight.detach()[0].clone())

    def forward(self, rows: FrozenRows) -> torch.Tensor:
        """Rows to v_MAKE [B, M]; zeros where the target, or every behaviour, has no vector."""
        return self.table.attention(rows, self.weight, self.bias, self.slope, self.score)
