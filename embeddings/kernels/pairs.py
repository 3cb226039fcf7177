"""Pairs of a target and a behaviour of its bag, for the implementations in plain torch."""

from collections.abc import Iterator

import torch


def known_pairs(
    table: torch.Tensor,
    scale: torch.Tensor | None,
    target_rows: torch.Tensor,
    history_rows: torch.Tensor,
    offsets: torch.Tensor,
    bag_index: torch.Tensor | None,
) -> Iterator[tuple[int, int, torch.Tensor, torch.Tensor]]:
    """For the oracles, one known pair after another: number of the target, place of the pair's cosine (see
    ``embeddings.kernels.simtier.op``), the target's vector and the behaviour's, [M] float64.
    """

    def vector(row: int) -> torch.Tensor:
        assert row >= 0, row
        stored = table[row].double()
        if scale is not None:
            return stored * scale[row].double()
        return stored / stored.norm().clamp(min=1) if table.dtype == torch.int8 else stored

    first = 0 if bag_index is not None or not len(target_rows) else int(offsets[0])
    for b, target_row in enumerate(target_rows.tolist()):
        bag = b if bag_index is None else int(bag_index[b])
        rows = history_rows[int(offsets[bag]) : int(offsets[bag + 1])].tolist()
        for place, row in enumerate(rows, first):
            if target_row != -1 and row != -1:
                yield b, place, vector(target_row), vector(row)
        first += len(rows)


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
    stored = table.index_select(0, known).float()
    if table.dtype != torch.int8:
        return stored
    return stored.mul_(factors(stored, scale, known).unsqueeze(1))


def factors(vectors: torch.Tensor, scale: torch.Tensor | None, rows: torch.Tensor) -> torch.Tensor:
    """What int8 ``vectors`` [P, M] of ``rows`` [P] are multiplied by for norm 1, float32 [P]."""
    return vectors.float().norm(dim=1).clamp_(min=1).reciprocal_() if scale is None else scale.index_select(0, rows)
