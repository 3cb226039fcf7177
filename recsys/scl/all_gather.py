"""All-gather of vectors over ranks, with gradients. Built of all-to-alls: gloo's are quick, and CUDA has them too."""

from typing import Any

import torch
import torch.distributed as dist


def all_gather(values: torch.Tensor, group: dist.ProcessGroup | None) -> torch.Tensor:
    """Rows of all ranks, in their order; the gradient of a row is the sum of all ranks' gradients of it.

    values   [B, ...]      as many rows on every rank
    returns  [W * B, ...]
    """
    if group is None or group.size() == 1:
        return values
    if values.requires_grad:
        return _AllGather.apply(values, group)
    return all_gather_detached(values, group)


def all_gather_detached(values: torch.Tensor, group: dist.ProcessGroup | None) -> torch.Tensor:
    """``all_gather`` without gradient."""
    if group is None or group.size() == 1:
        return values
    sent = values.detach().contiguous()
    sent = sent.unsqueeze(0).expand(group.size(), *sent.shape).reshape(-1, *sent.shape[1:])
    received = torch.empty_like(sent)
    dist.all_to_all_single(received, sent, group=group)
    return received


def scatter_sum(values: torch.Tensor, group: dist.ProcessGroup | None) -> torch.Tensor:
    """This rank's rows of the sum over ranks.

    values   [W * B, ...]
    returns  [B, ...]
    """
    return all_to_all(values, group).sum(0)


def all_to_all(values: torch.Tensor, group: dist.ProcessGroup | None) -> torch.Tensor:
    """The rows that each rank has for this one.

    values   [W * B, ...]   rows r * B to (r + 1) * B are for rank r
    returns  [W, B, ...]    row r is from rank r
    """
    if group is None or group.size() == 1:
        return values.unsqueeze(0)
    sent = values.contiguous()
    received = torch.empty_like(sent)
    dist.all_to_all_single(received, sent, group=group)
    return received.view(group.size(), -1, *sent.shape[1:])


class _AllGather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, group: dist.ProcessGroup | None) -> torch.Tensor:
        ctx.group = group
        return all_gather_detached(values, group)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return scatter_sum(gradient, ctx.group), None
