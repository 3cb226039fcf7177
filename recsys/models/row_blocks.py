"""Rows in whole blocks, so that a row's numbers do not depend on how many are scored with it, nor on its place."""

import torch

ROWS = 4  # that MKL's float32 products take at once
NUMBERS = 8  # at which rows begin: aligned, and ROWS of them fill whole registers of exp and log


def whole_blocks(x: torch.Tensor) -> torch.Tensor:
    """``x`` with rows of zeros behind it, up to whole blocks, and with rows that begin at whole blocks of numbers.

    x        [B, W]
    returns  [B', W], B' a multiple of ROWS, its stride of NUMBERS; ``x`` itself where it is so, or a gradient is wanted

    Products add up a row in another order where it is left over behind the blocks or begins at another address, and
    functions such as SiLU compute what is left over behind their registers by another formula. In whole blocks a
    candidate of a request has, bit for bit, the logit of the same row in an evaluation.
    """
    if torch.is_grad_enabled() or not (x.shape[0] % ROWS or x.stride(0) % NUMBERS):
        return x
    return torch.nn.functional.pad(x, (0, -x.shape[1] % NUMBERS, 0, -x.shape[0] % ROWS))[:, : x.shape[1]]


def first_rows(x: torch.Tensor, rows: int) -> torch.Tensor:
    """The first ``rows`` of ``x``: ``x`` itself where it has no more, so that training's graph has no node for it."""
    return x if x.shape[0] == rows else x[:rows]
