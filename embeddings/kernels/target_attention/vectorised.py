"""DIN's target attention in plain torch: no compiler; pairs in memory for some targets at a time."""

from collections.abc import Iterator

import torch
from torch.nn import functional

from embeddings.kernels.pairs import pairs

# Pairs in one chunk: its products and hidden units stay in the cache on CPU; elsewhere a launch costs more.
_CPU_CHUNK = 1 << 10
_DEVICE_CHUNK = 1 << 18


def target_attention(
    target: torch.Tensor,
    behaviours: torch.Tensor,
    offsets: torch.Tensor,
    bag_index: torch.Tensor | None,
    query: torch.Tensor,
    query_bias: torch.Tensor,
    pair: torch.Tensor,
    weights: list[torch.Tensor],
    biases: list[torch.Tensor],
    gamma: torch.Tensor | None,
    cosines: torch.Tensor | None,
    softmax: bool,
) -> torch.Tensor:
    """As ``embeddings.kernels.target_attention.reference``, in float32. A target's bag is never cut."""
    out = torch.zeros_like(target)
    of_query = functional.linear(target, query, query_bias)
    of_key, of_product = pair.chunk(2, dim=1)
    of_behaviour = functional.linear(behaviours, of_key)  # the same for all targets of a bag
    places = torch.arange(behaviours.shape[0], device=target.device)
    begin = int(offsets[0]) if bag_index is None and target.shape[0] else 0  # of the cosines
    for some, bags in _chunks(offsets, bag_index, target.shape[0]):
        of, place = pairs(bags.numel(), places, offsets, bags)
        key, q = behaviours.index_select(0, place), target[some]
        hidden = of_query[some].index_select(0, of) + of_behaviour.index_select(0, place)
        hidden += functional.linear(key * q.index_select(0, of), of_product)
        for weight, bias in zip(weights, biases, strict=True):
            hidden = functional.linear(functional.silu(hidden), weight, bias)
        if gamma is not None and cosines is not None:
            r = cosines[begin : begin + of.numel()]
            begin += of.numel()
            own, of_cosines, of_products = gamma.split([1, r.shape[1], r.shape[1]])
            hidden = hidden * (own + r @ of_products.unsqueeze(1)) + r @ of_cosines.unsqueeze(1)
        alpha = hidden.squeeze(1)
        if softmax:
            highest = alpha.new_full((bags.numel(),), -torch.inf).scatter_reduce(0, of, alpha, "amax")
            alpha = (alpha - highest.index_select(0, of)).exp()
            sums = alpha.new_zeros(bags.numel()).index_add(0, of, alpha)
            alpha = alpha / sums.index_select(0, of)
        out[some] = torch.zeros_like(q).index_add(0, of, alpha.unsqueeze(1) * key)
    return out


def _chunks(
    offsets: torch.Tensor, bag_index: torch.Tensor | None, targets: int
) -> Iterator[tuple[slice, torch.Tensor]]:
    """Targets side by side, a chunk's pairs together or one target at least, and the bag of each of them."""
    bags = torch.arange(targets, device=offsets.device) if bag_index is None else bag_index.long()
    ends = offsets.diff().index_select(0, bags).cumsum(0).tolist()
    size = _CPU_CHUNK if offsets.device.type == "cpu" else _DEVICE_CHUNK
    first = before = 0
    for b, end in enumerate(ends):
        if b > first and end - before > size:
            yield slice(first, b), bags[first:b]
            first, before = b, ends[b - 1]
    if first < targets:
        yield slice(first, targets), bags[first:]
