"""Vectors of all ranks, with gradients. Only all-to-alls: gloo's are quick, and CUDA has them too."""

import torch
import torch.distributed as dist


def gathered(values: torch.Tensor, group: dist.ProcessGroup | None) -> torch.Tensor:
    """Rows of all ranks, in their order; the gradient of a row is the sum of all ranks' gradients of it.

    values   [B, ...]      as many rows on every rank
    returns  [W * B, ...]
    """
    if group is None or group.size() == 1:
        return values
    if values.requires_grad:
        return _Gather.apply(values, group)
    return gather_rows(values, group)


def gather_rows(values: torch.Tensor, group: dist.ProcessGroup | None) -> torch.Tensor:
    """``gathered`` without gradient."""
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
    return exchanged(values, group).sum(0)


def exchanged(values: torch.Tensor, group: dist.ProcessGroup | None) -> torch.Tensor:
    """What each rank has for this one.

    values   [W * B, ...]   rows r * B to (r + 1) * B are for rank r
    returns  [W, B, ...]    row r is from rank r
    """
    if group is None or group.size() == 1:
        return values.unsqueeze(0)
    sent = values.contiguous()
    received = torch.empty_like(sent)
    dist.all_to_all_single(received, sent, group=group)
    return received.view(group.size(), -1, *sent.shape[1:])


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values, group):
        ctx.group = group
        return gather_rows(values, group)

    @staticmethod
    def backward(ctx, gradient):
        return scatter_sum(gradient, ctx.group), None
