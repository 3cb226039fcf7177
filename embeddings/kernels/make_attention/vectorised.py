"""MAKE's attention in plain torch: no compiler, no loop over bags, pairs a chunk at a time; backward recomputes.

With weight = [A, B, C, D] over [q; k; q - k; q * k],

    h = (A + C) q + bias  +  (B - C) k + D (q * k)

so the first part is computed once per target, and a pair costs two products instead of four.
"""

from collections.abc import Iterator

import torch
from torch.nn import functional

from embeddings.kernels.pairs import pairs, vectors

# Pairs in one chunk: its vectors, products and hidden units stay in the cache on CPU; on CUDA a launch costs more.
_CPU_CHUNK = 1 << 10
_DEVICE_CHUNK = 1 << 18


def make_attention(
    table: torch.Tensor,
    scale: torch.Tensor | None,
    target_rows: torch.Tensor,
    history_rows: torch.Tensor,
    offsets: torch.Tensor,
    bag_index: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor,
    slope: torch.Tensor,
    score: torch.Tensor,
) -> torch.Tensor:
    """As ``embeddings.kernels.make_attention.reference``, in float32."""
    out = torch.zeros(target_rows.numel(), table.shape[1], device=table.device)
    for chunk in _chunks(table, scale, target_rows, history_rows, offsets, bag_index, weight, bias):
        target, _, key, _, hidden = chunk
        out.index_add_(0, target, functional.prelu(hidden, slope) @ score.unsqueeze(1) * key)
    return out


def make_attention_backward(
    gradient: torch.Tensor,
    table: torch.Tensor,
    scale: torch.Tensor | None,
    target_rows: torch.Tensor,
    history_rows: torch.Tensor,
    offsets: torch.Tensor,
    bag_index: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor,
    slope: torch.Tensor,
    score: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of the four parameters, float32. ``gradient`` [B, M] is that of the result."""
    hiddens, width = bias.numel(), table.shape[1]
    of_query = torch.zeros(hiddens, width, device=table.device)  # of A + C
    of_key, of_product = torch.zeros_like(of_query), torch.zeros_like(of_query)  # of B - C and of D
    of_bias, of_slope, of_score = torch.zeros_like(bias), torch.zeros_like(slope), torch.zeros_like(score)
    for target, query, key, product, hidden in _chunks(
        table, scale, target_rows, history_rows, offsets, bag_index, weight, bias
    ):
        upstream = (gradient.index_select(0, target) * key).sum(1, keepdim=True)  # of each pair's weight
        below = hidden.clamp(max=0)
        of_score += (upstream * functional.prelu(hidden, slope)).sum(0)
        of_slope += (upstream * below).sum(0) * score
        of_hidden = upstream * score * torch.where(hidden > 0, 1.0, slope)
        of_bias += of_hidden.sum(0)
        of_query.addmm_(of_hidden.t(), query)
        of_key.addmm_(of_hidden.t(), key)
        of_product.addmm_(of_hidden.t(), product)
    return torch.cat([of_query, of_key, of_query - of_key, of_product], dim=1), of_bias, of_slope, of_score


def _chunks(
    table: torch.Tensor,
    scale: torch.Tensor | None,
    target_rows: torch.Tensor,
    history_rows: torch.Tensor,
    offsets: torch.Tensor,
    bag_index: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor,
) -> Iterator[tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]]:
    """Known pairs, chunk by chunk: target [P], query, key, their product [P, M], hidden units before prelu [P, H]."""
    pair_target, pair_rows = pairs(target_rows.numel(), history_rows, offsets, bag_index)
    known = (pair_rows != -1) & (target_rows != -1)[pair_target]
    pair_target, pair_rows = pair_target[known], pair_rows[known]
    targets = vectors(table, scale, target_rows)
    a, b, c, d = weight.chunk(4, dim=1)
    of_target = targets @ (a + c).t() + bias
    both = torch.cat([b - c, d], dim=1).t()
    size = _CPU_CHUNK if table.device.type == "cpu" else _DEVICE_CHUNK
    for target, rows in zip(pair_target.split(size), pair_rows.split(size), strict=True):
        query, key = targets.index_select(0, target), vectors(table, scale, rows)
        product = query * key
        yield target, query, key, product, of_target.index_select(0, target) + torch.cat([key, product], dim=1) @ both
