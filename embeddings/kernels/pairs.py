"""The pairs of a call: each target with each behaviour of its bag, for the implementations in plain torch."""

import torch


def pairs(
    targets: int, history_rows: torch.Tensor, offsets: torch.Tensor, bag_index: torch.Tensor | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Target and table row of each of P pairs, both int64 [P], pairs of one target side by side.

    On CUDA the number of pairs is read back: one synchronisation.
    """
    begins, lengths = offsets[:-1].long(), offsets.diff().long()
    if bag_index is not None:
        begins, lengths = begins.index_select(0, bag_index), lengths.index_select(0, bag_index)
    pair_target = torch.repeat_interleave(torch.arange(targets, device=offsets.device), lengths)
    shift = begins - (lengths.cumsum(0) - lengths)  # from a pair's number to its place in the history
    position = torch.arange(pair_target.numel(), device=offsets.device) + shift.index_select(0, pair_target)
    return pair_target, history_rows.index_select(0, position).long()


def vectors(table: torch.Tensor, scale: torch.Tensor | None, rows: torch.Tensor) -> torch.Tensor:
    """Unit vectors of ``rows``, float32 [P, M]; of a missing row (-1): anything finite."""
    known = rows.masked_fill(rows == -1, 0)
    found = table.index_select(0, known).float()
    return found if scale is None else found.mul_(scale.index_select(0, known).unsqueeze(1))
