"""MAKE's attention, the oracle: one pair at a time in float64. Every other implementation must agree with it."""

import torch

from embeddings.kernels.pairs import known_pairs


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
    """Sum of the behaviours' frozen vectors, each weighted by its relevance to the target.

    Sheng et al., CIKM 2024 (arXiv 2407.19467), MAKE: DIN's target attention (Zhou et al., KDD 2018, eq. 3: no softmax)
    over frozen vectors alone. For target q and behaviour k:

        h = weight [q; k; q - k; q * k] + bias
        a = score . prelu(h),    prelu(h) = h where h > 0, else slope * h
        v = sum of a k over the behaviours of q's bag

    Missing behaviours (row -1) are left out; a missing target gets zeros. Arguments and result as in
    ``embeddings.kernels.make_attention.op``.
    """
    weight, bias, slope, score = (p.double() for p in (weight, bias, slope, score))
    out = torch.zeros(target_rows.numel(), table.shape[1], dtype=torch.float64, device=table.device)
    for b, _, q, k in known_pairs(table, scale, target_rows, history_rows, offsets, bag_index):
        h = weight @ torch.cat([q, k, q - k, q * k]) + bias
        out[b] += (score @ torch.where(h > 0, h, slope * h)) * k
    return out.float()


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
    """Gradients of the four parameters. ``gradient`` [B, M] is that of the result, g of one target; with

        da = g . k,    dh = da score where h > 0, else da score slope

    weight gets dh [q; k; q - k; q * k]^T, bias dh, score da prelu(h), and slope da score h where h <= 0, summed over
    all pairs.
    """
    weight, bias, slope, score = (p.double() for p in (weight, bias, slope, score))
    of_weight, of_bias, of_slope, of_score = (torch.zeros_like(p) for p in (weight, bias, slope, score))
    for b, _, q, k in known_pairs(table, scale, target_rows, history_rows, offsets, bag_index):
        pair = torch.cat([q, k, q - k, q * k])
        h = weight @ pair + bias
        da = gradient[b].double() @ k
        dh = da * score * torch.where(h > 0, 1.0, slope)
        of_weight += torch.outer(dh, pair)
        of_bias += dh
        of_slope += torch.where(h > 0, 0.0, da * score * h)
        of_score += da * torch.where(h > 0, h, slope * h)
    return of_weight.float(), of_bias.float(), of_slope.float(), of_score.float()
