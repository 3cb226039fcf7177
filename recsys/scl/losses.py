"""The losses of SCL (Sheng et al., 2024, section 3): InfoNCE with in-batch and bank negatives, triplet on hard ones."""

import math

import torch
import torch.distributed as dist
from torch import nn

from recsys.scl.all_gather import all_gather, all_gather_detached
from recsys.scl.memory_bank import MemoryBank

MAX_SCALE = 100.0  # 1 / tau, the bound of Radford et al. (2021)


class Temperature(nn.Module):
    """The learnable temperature tau: ``log_scale`` is log(1 / tau)."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    def forward(self) -> torch.Tensor:
        """1 / tau, at most 100: []."""
        return self.log_scale.exp()

    def clamp(self) -> None:
        """To be called after each step of the optimizer: beyond the bound, the gradient would be lost."""
        with torch.no_grad():
            self.log_scale.clamp_(0.0, math.log(MAX_SCALE))


def centred(keys: torch.Tensor, group: dist.ProcessGroup | None = None) -> torch.Tensor:
    """``keys`` [B, M] less the mean of all ranks' keys of the step.

    Encoders drift as they learn: all vectors of a later step lie a little to one side of those of an earlier one.
    Queries that lie farther to that side would be nearer to this step's keys than to any row of the bank, whatever is
    in them, and training goes that way. Only how keys of one step differ is told apart from drift. Of a step whose
    pairs are all of one item nothing is left.

        keys     [B, M]  float32 unit vectors, as many on every rank
        returns  [B, M]  float32
    """
    return keys - all_gather_detached(keys, group).mean(0)


def info_nce(
    queries: torch.Tensor,
    positives: torch.Tensor,
    items: torch.Tensor,
    scale: torch.Tensor,
    bank: MemoryBank | None = None,
    group: dist.ProcessGroup | None = None,
    keys: torch.Tensor | None = None,
) -> torch.Tensor:
    """-log( exp(q . p / tau) / sum over p and negatives of exp(q . k / tau) ), for each query of this rank.

    Negatives are the positives of the other queries on all ranks, with gradient, and the rows of ``bank``; never those
    of the query's own item. A row of the bank is compared with the positive as the bank's own encoder sees it: its
    term is exp((q . p + q . k - q . key) / tau). With the trained encoder's p alone, all vectors could leave the
    place where the bank's were made, positives with them, and that would lower the loss at no cost.

        queries    [B, M]  unit vectors
        positives  [B, M]  unit vectors
        keys       [B, M]  the momentum encoder's vectors of the positives, ``centred``; with a bank
        items      [B]     int64 ids of the positives' items
        scale      []      1 / tau
        returns    [B]     float32
    """
    queries = queries.float() * scale
    positive = (queries * positives.float()).sum(1)
    rank = group.rank() if group is not None else 0
    all_positives, all_items = all_gather(positives.float(), group), all_gather_detached(items, group)
    logits = queries @ all_positives.T
    masked = items[:, None] == all_items[None, :]
    row = torch.arange(items.numel(), device=items.device)
    masked[row, row + rank * items.numel()] = False
    total = logits.masked_fill(masked, -math.inf).logsumexp(1)
    if bank is not None:
        assert keys is not None, "rows of the bank are compared with a key"
        key = (queries * keys.float()).sum(1)
        total = torch.logaddexp(total, bank.logsumexp(queries, items) + positive - key)
    return total - positive


def triplet(
    queries: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor, rows: torch.Tensor, margin: float
) -> torch.Tensor:
    """max(0, d(q, p) - d(q, n) + margin) with d = 1 - cosine, of the queries that have a hard negative.

    queries    [B, M]  unit vectors
    positives  [B, M]  unit vectors
    negatives  [H, M]  unit vectors
    rows       [H]     int64, the negatives' queries
    returns    [H]     float32
    """
    q, p = queries[rows].float(), positives[rows].float()
    return ((q * negatives.float()).sum(1) - (q * p).sum(1) + margin).relu()
