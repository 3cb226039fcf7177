"""SimTier as a torch op: a histogram of each target's similarities to the behaviours of its bag."""

from typing import Any

import torch

from embeddings.kernels.check_arguments import check_bags
from embeddings.kernels.registry import called_directly
from embeddings.kernels.registry import implementation as find

MAX_TIERS = 256
_ARGUMENTS = (
    "Tensor table, Tensor? scale, Tensor target_rows, Tensor history_rows, Tensor offsets, Tensor? bag_index, "
    "int num_tiers, str implementation"
)


def simtier(
    table: torch.Tensor,
    scale: torch.Tensor | None,
    target_rows: torch.Tensor,
    history_rows: torch.Tensor,
    offsets: torch.Tensor,
    bag_index: torch.Tensor | None,
    num_tiers: int,
    implementation: str = "auto",
) -> torch.Tensor:
    """Count the behaviours of each target's bag by tier of similarity. Formula in ``reference.py``.

        table         [R, M]   float32, float16, bfloat16 or int8; finite rows of norm 1 (int8: times the scale); M >= 1
        scale         [R]      float32; int8 tables only, else None. None with an int8 table: each row is divided by
                               its own norm, which is the same for rows of norm 1 and saves reading the scales
        target_rows   [B]      int32 or int64 row of each target; -1: missing, its counts are all 0
        history_rows  [T]      int32 or int64 rows of the behaviours; -1: missing, not counted
        offsets       [U + 1]  int32 or int64, not decreasing; bag u is history_rows[offsets[u] : offsets[u + 1]]
        bag_index     [B]      int32 or int64 bag of each target; None: U = B and target b has bag b
        num_tiers              N, 1 to 256
        returns       [B, N]   float32 counts; row b sums to the number of known behaviours in target b's bag

    On CPU a similarity that rounding could put on either side of a tier's edge is computed anew in float64, so that a
    target's counts depend on its own bag alone. On CUDA none is: there a behaviour within some 4e-6 of an edge may fall
    into the neighbouring tier, and a model's counts on a GPU and on a CPU differ by one in some 10,000 where N is 20.

    B, T and any bag may be empty. Exact up to 2 ** 24 behaviours a tier. Counts are piecewise constant, so the op has
    no gradient, and backward through a table that requires one is an error. ``implementation`` is "auto" or a name in
    the registry. Works under ``torch.compile(fullgraph=True)``.

    Raises ValueError for a wrong shape, dtype, device, number of tiers or implementation. Rows and offsets out of
    range are a defect of the caller, which indexing asserts.
    """
    simtier = _simtier_computed if called_directly() else torch.ops.recsys.simtier
    return simtier(table, scale, target_rows, history_rows, offsets, bag_index, num_tiers, implementation)


def simtier_cosines(*arguments: Any, implementation: str = "auto") -> tuple[torch.Tensor, torch.Tensor]:
    """``simtier(*arguments)`` and, out of the same pass, the similarities that it counts.

        returns  [B, N]  ``simtier``'s counts, and
                 [P]     float32 cosine of each target and behaviour of its bag; 0 where one of them is missing. Without
                         bag_index they lie as history_rows do, P = T, and a behaviour in no bag has 0. With it they
                         lie target after target, each with the behaviours of its bag

    On CPU, the cosines of a target that shares its bag and of one that does not are the same for int8 tables, and
    within M 2^-23 of each other for others; on AMX, 2^-16 more for float32 and float16 tables.

    With bag_index on CUDA, P is read back: one synchronisation. Everything else as in ``simtier``.
    """
    simtier_cosines = _cosines_computed if called_directly() else torch.ops.recsys.simtier_cosines
    return simtier_cosines(*arguments, implementation)


def _simtier_computed(*arguments: Any) -> torch.Tensor:
    *given, implementation = arguments
    _check(*given)
    return find("simtier", implementation, given[0].device)(*given)


_simtier = torch.library.custom_op(
    "recsys::simtier", _simtier_computed, mutates_args=(), schema=f"({_ARGUMENTS}) -> Tensor"
)


@_simtier.register_fake
def _simtier_fake(*arguments: Any) -> torch.Tensor:
    *given, _ = arguments
    _check(*given)
    table, target_rows, num_tiers = given[0], given[2], given[6]
    return table.new_empty((target_rows.shape[0], num_tiers), dtype=torch.float32)


def _cosines_computed(*arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
    *given, implementation = arguments
    _check(*given)
    table, _, _, history_rows, offsets, bag_index, _ = given
    pairs = history_rows.shape[0]
    if bag_index is not None:
        _check_bags(bag_index, offsets.numel() - 1)
        pairs = int(offsets.diff().index_select(0, bag_index).sum())
    cosines = torch.zeros(pairs, device=table.device)
    return find("simtier", implementation, table.device)(*given, cosines), cosines


_simtier_cosines = torch.library.custom_op(
    "recsys::simtier_cosines", _cosines_computed, mutates_args=(), schema=f"({_ARGUMENTS}) -> (Tensor, Tensor)"
)


@_simtier_cosines.register_fake
def _simtier_cosines_fake(*arguments: Any) -> tuple[torch.Tensor, torch.Tensor]:
    table, history_rows, bag_index = arguments[0], arguments[3], arguments[5]
    pairs = history_rows.shape[0] if bag_index is None else torch.library.get_ctx().new_dynamic_size()
    return _simtier_fake(*arguments), table.new_empty((pairs,), dtype=torch.float32)


def _check(*arguments: Any) -> None:
    """Raise ValueError for a wrong shape, dtype, device or number of tiers of ``simtier``'s arguments."""
    *bags, num_tiers = arguments
    check_bags(*bags, own_norms=True)
    if not 1 <= num_tiers <= MAX_TIERS:
        raise ValueError(f"num_tiers is {num_tiers}; allowed: 1 to {MAX_TIERS}")


def _check_bags(bag_index: torch.Tensor, bags: int) -> None:
    """On the host, where a look at the numbers waits for nothing. Raises IndexError."""
    outside = bag_index[(bag_index < 0) | (bag_index >= bags)] if not bag_index.is_cuda else bag_index[:0]
    if outside.numel():
        raise IndexError(f"bag {int(outside[0])} is outside the {bags} bags")
