"""SimTier, the oracle: one pair at a time in float64. Every other implementation must agree with it."""

import math

import torch

from embeddings.kernels.pairs import known_pairs


def simtier(
    table: torch.Tensor,
    scale: torch.Tensor | None,
    target_rows: torch.Tensor,
    history_rows: torch.Tensor,
    offsets: torch.Tensor,
    bag_index: torch.Tensor | None,
    num_tiers: int,
    cosines: torch.Tensor | None = None,
) -> torch.Tensor:
    """How many behaviours lie in each of N equal tiers of similarity to the target.

    Sheng et al., CIKM 2024 (arXiv 2407.19467), SimTier, with s = v_i . v_c for behaviour i and target c:

        tier(s) = min(floor((clamp(s, -1, 1) + 1) N / 2), N - 1),  so tier n covers [-1 + 2n/N, -1 + 2(n+1)/N)

    Against the paper's pseudo-code, which takes ceil and so drops its top tier, a similarity of 1, and what rounding
    pushes past it, belongs to the last tier. Missing behaviours (row -1) are not counted at all.

    Arguments and result as in ``embeddings.kernels.simtier.op``; the table may be float64 too. ``cosines`` are zeros,
    of which those of known pairs are replaced by s, as it is before it is clamped.
    """
    counts = torch.zeros(target_rows.numel(), num_tiers)
    for b, place, target, behaviour in known_pairs(table, scale, target_rows, history_rows, offsets, bag_index):
        cosine = float(target @ behaviour)
        similarity = min(max(cosine, -1.0), 1.0)
        counts[b, min(math.floor((similarity + 1) * num_tiers / 2), num_tiers - 1)] += 1
        if cosines is not None:
            cosines[place] = cosine
    return counts.to(table.device)
