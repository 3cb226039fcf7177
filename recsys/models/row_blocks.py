"""Rows for matrix products in whole blocks, so that a row's numbers do not depend on how many are scored with it."""

import torch

BLOCK = 4  # rows that MKL's float32 products take at once; the rest it adds up in another order


def whole_blocks(x: torch.Tensor) -> torch.Tensor:
    """``x`` with rows of zeros behind it, up to whole blocks, where no gradient is wanted; else ``x``.

    x        [B, W]
    returns  [B', W], B' a multiple of BLOCK

    One candidate of a request then has, bit for bit, the logit of the same row in an evaluation.
    """
    missing = -x.shape[0] % BLOCK
    if not missing or torch.is_grad_enabled():
        return x
    return torch.nn.functional.pad(x, (0, 0, 0, missing))


def first_rows(x: torch.Tensor, rows: int) -> torch.Tensor:
    """The first ``rows`` of ``x``: ``x`` itself where it has no more, so that training's graph has no node for it."""
    return x if x.shape[0] == rows else x[:rows]
