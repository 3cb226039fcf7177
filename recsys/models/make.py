"""MAKE, the multimodal knowledge extractor: attention over frozen vectors, an MLP, a logit of its own."""

import itertools
from dataclasses import replace

import torch
from torch import nn

from embeddings.frozen.row_wise_table import RowWiseTable
from embeddings.frozen.table import FrozenTable
from embeddings.hashing import GOLDEN_RATIO, as_int64, splitmix64_tensor
from recsys.batch import FrozenRows
from recsys.models.config import MAKEConfig
from recsys.models.cost import Cost, flops_per_weight, held, linear_cost
from recsys.models.module_types import FeaturesPart
from recsys.models.row_blocks import first_rows, whole_blocks


class MAKEAttention(nn.Module):
    """DIN's target attention over one modality's frozen vectors; formula in ``embeddings.kernels.make_attention``.

    Sheng et al., CIKM 2024 (arXiv 2407.19467), MAKE: v_MAKE, before its MLP. Only the attention is trained: gradients
    never reach the table.

    A unit vector's numbers are of size 1 / sqrt(M), and products of two of size 1 / M, which a layer that expects
    numbers of size 1 learns from many times more slowly. So the unit's columns are multiplied by sqrt(M) and M.

    Args:
        hidden: width of the attention unit, H.
    """

    spread: torch.Tensor

    def __init__(self, table: FrozenTable | RowWiseTable, hidden: int = 36) -> None:
        super().__init__()
        self.table = table
        self.width = m = table.width
        first = nn.Linear(4 * m, hidden)
        self.weight, self.bias = first.weight, first.bias
        self.slope = nn.Parameter(torch.full((hidden,), 0.25))
        self.score = nn.Parameter(nn.Linear(hidden, 1).weight.detach()[0].clone())
        self.register_buffer("spread", torch.tensor([m**0.5] * 3 * m + [float(m)] * m), persistent=False)

    def forward(self, rows: FrozenRows) -> torch.Tensor:
        """Rows to v_MAKE [B, M]; zeros where the target, or every behaviour, has no vector."""
        return self.table.attention(rows, self.weight * self.spread, self.bias, self.slope, self.score)

    def cost(self, length: float) -> Cost:
        """Of a history of ``length`` behaviours.

        The op folds the target into an H x M matrix, then multiplies each behaviour with that matrix and its weight.
        It keeps nothing but v_MAKE, which goes on beside the target's vector.
        """
        hidden, columns = self.weight.shape
        products = hidden * columns + length * (hidden + 1) * self.width
        return Cost(flops_per_weight(self) * products) + held(4 * self.width)


class MAKE(nn.Module):
    """v_MAKE, the target's vector and their products -> MLP -> logit; vectors times sqrt(M), as in the attention.

    The products say how alike the target and the pooled behaviours are, which an MLP on v_MAKE alone cannot see. Its
    last layer is the logit, so ``hidden`` of three widths is the paper's four layers.
    """

    def __init__(self, table: FrozenTable | RowWiseTable, config: MAKEConfig) -> None:
        super().__init__()
        self.table = table
        self.attention = MAKEAttention(table, config.attention_hidden)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise([3 * table.width, *config.hidden]))
        self.logit = nn.Linear(config.hidden[-1], 1)

    def forward(self, rows: FrozenRows) -> tuple[torch.Tensor, list[torch.Tensor], torch.Tensor]:
        """Rows to v_MAKE [B, M], the activations of every hidden layer [B, H_i], and the logit [B, 1]."""
        pooled = self.attention(rows) * self.table.width**0.5
        target = self.table.targets(rows) * self.table.width**0.5
        count = pooled.shape[0]
        flow = torch.cat([pooled, target, pooled * target], dim=1)
        activations = []
        for layer in self.layers:
            flow = nn.functional.silu(whole_blocks(layer(whole_blocks(flow))))
            activations.append(first_rows(flow, count))
        return pooled, activations, first_rows(self.logit(whole_blocks(flow)), count)

    def cost(self, length: float) -> Cost:
        """Of a history of ``length`` behaviours: the attention, and the MLP once."""
        return sum(map(linear_cost, [*self.layers, self.logit]), self.attention.cost(length))


class MAKEFeatures(FeaturesPart):
    """What MAKE hands to the ID model: v_MAKE, all intermediate activations of its MLP, its logit.

    The ID model soon knows its training rows by heart, and trained beside it MAKE's features would be left what little
    error remains there. So a share of the rows goes without them (as rows without a modality in Neverova et al.,
    ModDrop, arXiv 1501.00102), which the ID model learns to predict alone; on new rows the two correct each other.
    """

    gathered = 0  # numbers of each behaviour that it holds

    def __init__(self, table: FrozenTable | RowWiseTable, config: MAKEConfig) -> None:
        super().__init__()
        self.make = MAKE(table, config)
        self.make.requires_grad_(not config.frozen)
        self.modality_dropout = config.modality_dropout
        self.width = table.width + sum(config.hidden) + 1

    def forward(self, rows: FrozenRows) -> torch.Tensor:
        """Rows to [B, M + sum of H_i + 1]; in training all zeros for a row that is dropped."""
        pooled, activations, logit = self.make(rows)
        features = torch.cat([pooled, *activations, logit], dim=1)
        if self.training and self.modality_dropout:
            features = features * (torch.rand_like(logit) >= self.modality_dropout)
        return features

    def cost(self, length: float) -> Cost:
        """Of a history of ``length`` behaviours."""
        return self.make.cost(length)


def drop_behaviours(rows: FrozenRows, share: float) -> FrozenRows:
    """Behaviour dropout: each behaviour of ``rows`` becomes one without a vector with probability ``share``.

    Targets and bags stay. Impressions that share a bag lose the same behaviours.

    Draws one number from torch's CPU generator, which checkpoints keep, and hashes the behaviours' places with it by
    SplitMix64 (Steele et al., OOPSLA 2014), in int64, so that CPU and CUDA leave out the same ones.
    """
    key = int(torch.randint(2**62, ()))
    places = torch.arange(rows.history.numel(), device=rows.history.device)
    drawn = splitmix64_tensor(places * as_int64(GOLDEN_RATIO) + key) & 0xFFFFFF
    return replace(rows, history=rows.history.masked_fill(drawn < share * 2**24, -1))
