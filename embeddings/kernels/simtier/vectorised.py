"""SimTier in plain torch: no compiler, no loop over bags, vectors in memory a chunk of pairs at a time."""

import torch

from embeddings.kernels.pairs import factors, pairs, vectors

# Floats in one chunk of gathered vectors. On CPU a chunk stays in the cache (256 KiB beat 0.5 to 64 MiB, most of all
# at M = 128); elsewhere a launch costs more than memory does (128 MiB).
_CPU_CHUNK = 1 << 16
_DEVICE_CHUNK = 1 << 25


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
    """Tier counts and cosines as in ``embeddings.kernels.simtier.reference``, similarities in float32.

    A pair is a target and one behaviour of its bag. On CUDA the number of pairs is read back: one synchronisation.
    """
    pair_target, pair_rows = pairs(target_rows.numel(), history_rows, offsets, bag_index)
    known = (pair_rows != -1) & (target_rows != -1)[pair_target]
    similarity = _similarities(table, scale, target_rows, pair_rows.masked_fill(~known, 0), pair_target)
    if cosines is not None:
        first = int(offsets[0]) if bag_index is None else 0
        cosines[first : first + known.numel()] = similarity.masked_fill(~known, 0)
    tier = similarity.clamp_(-1, 1).add_(1).mul_(num_tiers / 2).floor_().clamp_(max=num_tiers - 1).long()
    bins = target_rows.numel() * num_tiers
    place = torch.where(known, pair_target * num_tiers + tier, bins)  # one bin more takes what is not counted
    counts = torch.zeros(bins + 1, device=table.device)
    counts.scatter_add_(0, place, torch.ones((), device=table.device).expand_as(place))
    return counts[:bins].view(-1, num_tiers).clone()


def _similarities(
    table: torch.Tensor,
    scale: torch.Tensor | None,
    target_rows: torch.Tensor,
    pair_rows: torch.Tensor,
    pair_target: torch.Tensor,
) -> torch.Tensor:
    """Dot products, float32 [P]. Of a missing target: anything finite."""
    targets = vectors(table, scale, target_rows)
    similarity = torch.empty(pair_rows.numel(), device=table.device)
    chunk = max(1, (_CPU_CHUNK if table.device.type == "cpu" else _DEVICE_CHUNK) // table.shape[1])
    for start in range(0, pair_rows.numel(), chunk):
        part = slice(start, start + chunk)
        behaviours = table.index_select(0, pair_rows[part])
        products = targets.index_select(0, pair_target[part]).mul_(behaviours)
        torch.sum(products, 1, out=similarity[part])
        if table.dtype == torch.int8:
            similarity[part] *= factors(behaviours, scale, pair_rows[part])
    return similarity
