"""SimTier in plain torch: no compiler, no loop over bags, vectors in memory a chunk of pairs at a time."""

import torch

from embeddings.kernels.pairs import factors, pairs, vectors

# Floats in one chunk of gathered vectors. On CPU a chunk stays in the cache (256 KiB beat 0.5 to 64 MiB, most of all
# at M = 128); elsewhere a launch costs more than memory does (128 MiB).
_CPU_CHUNK = 1 << 16
_DEVICE_CHUNK = 1 << 25
_DOUBT = 4e-6  # rounding errors of similarities at most; beyond 128 numbers they grow as random steps do


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

    A pair is a target and one behaviour of its bag. On CUDA the number of pairs is read back: one synchronisation. To
    find similarities at the edges of tiers would be another, so that the CPU alone computes those anew in float64.
    """
    pair_target, pair_rows = pairs(target_rows.numel(), history_rows, offsets, bag_index)
    known = (pair_rows != -1) & (target_rows != -1)[pair_target]
    pair_rows = pair_rows.masked_fill(~known, 0)
    similarity = _similarities(table, scale, target_rows, pair_rows, pair_target)
    if table.device.type == "cpu":
        places = (known & _at_an_edge(similarity, num_tiers, table.shape[1])).nonzero().squeeze(1)
        for part in places.split(max(1, _CPU_CHUNK // table.shape[1])):
            pair = target_rows.index_select(0, pair_target[part]), pair_rows[part]
            similarity[part] = _in_float64(table, scale, *pair)
    if cosines is not None:
        first = int(offsets[0]) if bag_index is None else 0
        cosines[first : first + known.numel()] = similarity.masked_fill(~known, 0)
    tier = similarity.clamp_(-1, 1).add_(1).mul_(num_tiers / 2).floor_().clamp_(max=num_tiers - 1).long()
    bins = target_rows.numel() * num_tiers
    place = torch.where(known, pair_target * num_tiers + tier, bins)  # one bin more takes what is not counted
    counts = torch.zeros(bins + 1, device=table.device)
    counts.scatter_add_(0, place, torch.ones((), device=table.device).expand_as(place))
    return counts[:bins].view(-1, num_tiers).clone()


def _at_an_edge(similarity: torch.Tensor, num_tiers: int, width: int) -> torch.Tensor:
    """Which similarities are so near to an inner edge of the tiers that rounding decides: bool [P]."""
    position = (similarity + 1) * (num_tiers / 2)
    edge = position.round()
    doubt = _DOUBT * max(1.0, (width / 128) ** 0.5) * num_tiers / 2
    return ((position - edge).abs_() < doubt) & (edge >= 1) & (edge <= num_tiers - 1)


def _in_float64(
    table: torch.Tensor, scale: torch.Tensor | None, one: torch.Tensor, other: torch.Tensor
) -> torch.Tensor:
    """Similarities of rows ``one`` [P] and ``other`` [P], rounded to float32 once."""
    a, b = table.index_select(0, one).double(), table.index_select(0, other).double()
    similarity = (a * b).sum(1)
    if scale is not None:
        similarity *= scale.double().index_select(0, one) * scale.double().index_select(0, other)
    elif table.dtype == torch.int8:
        similarity /= ((a * a).sum(1) * (b * b).sum(1)).sqrt_().clamp_(min=1)  # rows of zeros, which no store holds
    return similarity.float()


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
