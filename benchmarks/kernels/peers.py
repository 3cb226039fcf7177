"""What users write today instead of the fused kernels: SimTier and MAKE's attention in plain torch and with FBGEMM.

All take padded histories, every behaviour known, which is what these forms are made for.

    table    [R, M]  float32
    target   [B]     int64
    history  [B, L]  int64
"""

import fbgemm_gpu  # noqa: F401  registers the jagged operators
import torch
from torch.nn import functional

Tensor = torch.Tensor


def tier_of(similarity: Tensor, num_tiers: int) -> Tensor:
    """The tier, 0 to N - 1, of each similarity, as SimTier counts them: int64 of the same shape."""
    return ((similarity.clamp(-1, 1) + 1) * (num_tiers / 2)).long().clamp(max=num_tiers - 1)


def simtier_eager(table: Tensor, target: Tensor, history: Tensor, num_tiers: int) -> Tensor:
    """Gather, einsum, bucketise, masked scatter_add."""
    similarity = torch.einsum("blm,bm->bl", table[history], table[target])
    known = (history >= 0).float()
    counts = torch.zeros(len(target), num_tiers)
    return counts.scatter_add_(1, tier_of(similarity, num_tiers), known)


def simtier_onehot(table: Tensor, target: Tensor, history: Tensor, num_tiers: int) -> Tensor:
    """A comparison of every similarity with every tier, [B, N, L], as MUSE's public code has it."""
    similarity = torch.einsum("blm,bm->bl", table[history], table[target]).clamp(-1, 1).unsqueeze(1)
    edges = torch.linspace(-1, 1, num_tiers + 1).view(1, -1, 1)
    edges[:, -1] = torch.inf
    inside = (similarity >= edges[:, :-1]) & (similarity < edges[:, 1:]) & (history >= 0).unsqueeze(1)
    return inside.float().sum(2)


def simtier_fbgemm(table: Tensor, target: Tensor, history: Tensor, num_tiers: int) -> Tensor:
    """Similarities by FBGEMM's jagged_dense_bmm, the rest as in eager."""
    targets, length = history.shape
    offsets = torch.arange(targets + 1) * length
    values = table[history.flatten()]
    similarity, _ = torch.ops.fbgemm.jagged_dense_bmm(values, offsets, table[target].unsqueeze(2), length)
    counts = torch.zeros(targets, num_tiers)
    return counts.scatter_add_(1, tier_of(similarity.view(targets, length), num_tiers), (history >= 0).float())


def make_eager(
    table: Tensor, target: Tensor, history: Tensor, weight: Tensor, bias: Tensor, slope: Tensor, score: Tensor
) -> Tensor:
    """DIN's attention as it is written: [q; k; q - k; q * k] for every pair, two linear layers, weighted sum."""
    k = table[history]
    q = table[target].unsqueeze(1).expand_as(k)
    pairs = torch.cat([q, k, q - k, q * k], dim=2)
    hidden = functional.prelu((pairs @ weight.t() + bias).flatten(0, 1), slope)
    weights = (hidden @ score).view(history.shape).masked_fill(history < 0, 0.0)
    return (weights.unsqueeze(2) * k).sum(1)


def make_fbgemm(
    table: Tensor, target: Tensor, history: Tensor, weight: Tensor, bias: Tensor, slope: Tensor, score: Tensor
) -> Tensor:
    """As make_eager, pooled by FBGEMM's batched_dense_vec_jagged_2d_mul."""
    targets, length = history.shape
    offsets = torch.arange(targets + 1) * length
    k = table[history.flatten()]
    q = table[target].repeat_interleave(length, 0)
    pairs = torch.cat([q, k, q - k, q * k], dim=1)
    weights = functional.prelu(pairs @ weight.t() + bias, slope) @ score
    return torch.ops.fbgemm.batched_dense_vec_jagged_2d_mul(weights.view(targets, length), k, offsets)
