"""DIN's target attention at inference as a torch op: bags that targets share or not, pooled by relevance to each."""

from typing import Any

import torch

from embeddings.kernels.check_arguments import check_bag_of_each, check_devices, check_indices, named
from embeddings.kernels.registry import called_directly
from embeddings.kernels.registry import implementation as find

_SCHEMA = (
    "(Tensor target, Tensor behaviours, Tensor offsets, Tensor? bag_index, Tensor query, Tensor query_bias, "
    "Tensor pair, Tensor[] weights, Tensor[] biases, Tensor? gamma, Tensor? cosines, bool softmax, "
    "str implementation) -> Tensor"
)


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
    gamma: torch.Tensor | None = None,
    cosines: torch.Tensor | None = None,
    softmax: bool = False,
    implementation: str = "auto",
) -> torch.Tensor:
    """Pool each target's bag by relevance to the target. Formula in ``reference.py``.

        target      [B, D]       float32, D >= 1
        behaviours  [T, D]       float32
        offsets     [U + 1]      int32 or int64, not decreasing; bag u is behaviours[offsets[u] : offsets[u + 1]]
        bag_index   [B]          int32 or int64 bag of each target; None: U = B and target b has bag b
        query       [H, D]       float32, of the first layer, and query_bias [H]
        pair        [H, 2D]      float32, over [k; q * k]
        weights     [H_i, H_i-1] float32 of each layer behind the first, H_0 = H; the last is the score, [1, H_n-1]
        biases      [H_i]        float32 of those
        gamma       [1 + 2S]     float32, S >= 1; None: the alphas are the weights
        cosines     [P, S]       float32 of target and behaviour, where there is a gamma. Without bag_index they lie as
                                 the behaviours do, P = T; with it target after target, each with those of its bag
        softmax                  over each bag
        returns     [B, D]       float32; zeros for an empty bag

    B, T and any bag may be empty. A target's result depends on nothing but its own bag: not on the targets beside it,
    and in the native implementation not on the number of threads. For inference: there is no backward.
    ``implementation`` is "auto" or a name in the registry. Works under ``torch.compile(fullgraph=True)``; under
    autocast it computes in float32.

    Raises ValueError for a wrong shape, dtype, device or implementation, and where a gradient is wanted. Offsets and
    bags out of range are a defect of the caller, which indexing asserts.
    """
    target_attention = _target_attention if called_directly() else torch.ops.recsys.target_attention
    return target_attention(
        target, behaviours, offsets, bag_index, query, query_bias, pair, weights, biases, gamma, cosines, softmax,
        implementation,
    )  # fmt: skip


# Not a torch.library.custom_op, whose autograd, written in Python, takes longer than a request of one target does
_LIBRARY = torch.library.Library("recsys", "FRAGMENT")
_LIBRARY.define("target_attention" + _SCHEMA)


def _target_attention(*arguments: Any) -> torch.Tensor:
    *given, implementation = arguments
    _check(*given)
    target, _, offsets, bag_index, *_, cosines, _ = given
    if bag_index is not None and cosines is not None:
        _check_pairs(offsets, bag_index, cosines)
    call, kind = find("target_attention", implementation, target.device), target.device.type
    if not torch.is_autocast_enabled(kind):
        return call(*given)
    with torch.autocast(kind, enabled=False):
        return call(*given)


def _target_attention_fake(*arguments: Any) -> torch.Tensor:
    *given, _ = arguments
    _check(*given)
    return torch.empty_like(given[0], memory_format=torch.contiguous_format)


_LIBRARY.impl("target_attention", _target_attention, "CompositeExplicitAutograd")
torch.library.register_fake("recsys::target_attention", _target_attention_fake, lib=_LIBRARY)


def _check(
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
) -> None:
    """Raise ValueError for a wrong shape, dtype or device, and where a gradient is wanted."""
    if target.ndim != 2 or target.shape[1] < 1:
        raise ValueError(f"target is {named(target)}; allowed: float32 [B, D] with D >= 1")
    if query.ndim != 2 or query.shape[0] < 1:
        raise ValueError(f"query is {named(query)}; allowed: float32 [H, {target.shape[1]}] with H >= 1")
    if not weights or len(weights) != len(biases):
        raise ValueError(f"{len(weights)} weights and {len(biases)} biases; allowed: one of each a layer, at least one")
    if (gamma is None) != (cosines is None):
        raise ValueError(f"gamma is {named(gamma)} and cosines {named(cosines)}; allowed: both or none")
    width, hidden, last = target.shape[1], query.shape[0], len(weights) - 1
    shapes: list[tuple[str, torch.Tensor, tuple[int, ...]]] = [
        ("target", target, (target.shape[0], width)),
        ("behaviours", behaviours, (*behaviours.shape[:1], width)),
        ("query", query, (hidden, width)),
        ("query_bias", query_bias, (hidden,)),
        ("pair", pair, (hidden, 2 * width)),
    ]
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        out = 1 if i == last else bias.numel()
        shapes += [(f"weights[{i}]", weight, (out, hidden)), (f"biases[{i}]", bias, (out,))]
        hidden = out
    if gamma is not None and cosines is not None:
        pairs, modalities = (*cosines.shape, 0, 0)[:2]
        pairs = pairs if bag_index is not None else behaviours.shape[0]
        shapes += [("cosines", cosines, (pairs, modalities)), ("gamma", gamma, (1 + 2 * modalities,))]
    wanted = False
    for name, tensor, shape in shapes:
        if tensor.shape != shape or tensor.dtype != torch.float32:
            raise ValueError(f"{name} is {named(tensor)}; allowed: float32 {list(shape)}")
        if tensor.device != target.device:
            raise ValueError(f"{name} is on {tensor.device} but target on {target.device}; move them to one device")
        wanted = wanted or tensor.requires_grad
    if wanted and torch.is_grad_enabled():
        raise ValueError("target_attention: a gradient is wanted, and none is computed; call it under torch.no_grad()")
    indices = {"offsets": offsets, "bag_index": bag_index}
    check_indices(indices)
    check_devices("target", target, indices)
    check_bag_of_each(target.shape[0], offsets, bag_index)


def _check_pairs(offsets: torch.Tensor, bag_index: torch.Tensor, cosines: torch.Tensor) -> None:
    """Raise ValueError where there are not as many cosines as pairs. On CUDA it waits for the number."""
    pairs = int(offsets.diff().index_select(0, bag_index).sum())
    if cosines.shape[0] != pairs:
        raise ValueError(f"cosines of {cosines.shape[0]} pairs; allowed: {pairs}, target after target")
