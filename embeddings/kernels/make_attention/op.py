"""MAKE's attention as a torch op: target attention over frozen vectors, with gradients of its parameters alone."""

from typing import Any

import torch

from embeddings.kernels.check_arguments import check_bags, named
from embeddings.kernels.registry import called_directly
from embeddings.kernels.registry import implementation as find

_BAGS = "Tensor table, Tensor? scale, Tensor target_rows, Tensor history_rows, Tensor offsets, Tensor? bag_index"
_PARAMETERS = "Tensor weight, Tensor bias, Tensor slope, Tensor score, str implementation"


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
    implementation: str = "auto",
) -> torch.Tensor:
    """Pool each target's bag by relevance to the target. Formula in ``reference.py``.

        table, scale, target_rows, history_rows, offsets, bag_index: as in ``embeddings.kernels.simtier.op``
        weight   [H, 4M]  float32, over [q; k; q - k; q * k]
        bias     [H]      float32
        slope    [H]      float32, of PReLU where a hidden unit is negative
        score    [H]      float32
        returns  [B, M]   float32; zeros where the target is missing or its bag has no known behaviour

    Gradients go to the four parameters; the backward computes the hidden units anew, so that nothing of size [T, M]
    or [T, H] is ever stored. The table is frozen: one that requires a gradient is an error. Works under
    ``torch.compile(fullgraph=True)``; under autocast it computes in float32.

    Raises ValueError for a wrong shape, dtype, device or implementation, and for a table that requires a gradient.
    """
    if table.requires_grad or (scale is not None and scale.requires_grad):
        raise ValueError("make_attention: the frozen table requires a gradient, and none is computed; detach() it")
    make_attention = _computed if called_directly() else torch.ops.recsys.make_attention
    return make_attention(
        table, scale, target_rows, history_rows, offsets, bag_index, weight, bias, slope, score, implementation
    )


def make_attention_backward(
    gradient: torch.Tensor, *arguments: Any, implementation: str = "auto"
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of weight, bias, slope and score; ``gradient`` [B, M] is that of ``make_attention(*arguments)``."""
    return torch.ops.recsys.make_attention_backward(gradient, *arguments, implementation)


def _computed(*arguments: Any) -> torch.Tensor:
    _check(*arguments)
    *tensors, name = arguments
    device = tensors[0].device
    call = find("make_attention", name, device)
    if not torch.is_autocast_enabled(device.type):
        return call(*tensors)
    with torch.autocast(device.type, enabled=False):
        return call(*tensors)


_make_attention = torch.library.custom_op(
    "recsys::make_attention", _computed, mutates_args=(), schema=f"({_BAGS}, {_PARAMETERS}) -> Tensor"
)


@_make_attention.register_fake
def _make_attention_fake(*arguments: Any) -> torch.Tensor:
    _check(*arguments)
    table, target_rows = arguments[0], arguments[2]
    return table.new_empty((target_rows.shape[0], table.shape[1]), dtype=torch.float32)


@torch.library.custom_op(
    "recsys::make_attention_backward",
    mutates_args=(),
    schema=f"(Tensor gradient, {_BAGS}, {_PARAMETERS}) -> (Tensor, Tensor, Tensor, Tensor)",
)
def _backward(gradient: torch.Tensor, *arguments: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    *tensors, name = arguments
    with torch.autocast(gradient.device.type, enabled=False):
        return find("make_attention_backward", name, gradient.device)(gradient, *tensors)


@_backward.register_fake
def _backward_fake(
    gradient: torch.Tensor, *arguments: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    return tuple(p.new_empty(p.shape) for p in arguments[6:10])


def _keep(ctx: Any, inputs: tuple, output: torch.Tensor) -> None:
    *tensors, ctx.implementation = inputs
    ctx.save_for_backward(*tensors)


def _gradients(ctx: Any, gradient: torch.Tensor) -> tuple:
    if any(ctx.needs_input_grad[:2]):  # not through make_attention() above
        raise RuntimeError("make_attention: the frozen table requires a gradient, and none is computed; detach() it")
    of_parameters = torch.ops.recsys.make_attention_backward(gradient, *ctx.saved_tensors, ctx.implementation)
    return (*[None] * 6, *of_parameters, None)


_make_attention.register_autograd(_gradients, setup_context=_keep)


def _check(*arguments: Any) -> None:
    """Raise ValueError for a wrong shape, dtype or device of ``make_attention``'s arguments."""
    *bags, weight, bias, slope, score, _ = arguments
    table = bags[0]
    check_bags(*bags, own_norms=False)
    if bias.ndim != 1 or bias.shape[0] < 1:
        raise ValueError(f"bias is {named(bias)}; allowed: float32 [H] with H >= 1")
    hidden = bias.shape[0]
    shapes = {"weight": (hidden, 4 * table.shape[1]), "bias": (hidden,), "slope": (hidden,), "score": (hidden,)}
    for (name, shape), given in zip(shapes.items(), (weight, bias, slope, score), strict=True):
        if given.shape != shape or given.dtype != torch.float32:
            raise ValueError(f"{name} is {named(given)}; allowed: float32 {list(shape)}")
        if given.device != table.device:
            raise ValueError(f"{name} is on {given.device} but table on {table.device}; move them to one device")
