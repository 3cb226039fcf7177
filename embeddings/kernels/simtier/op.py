"""SimTier as a torch op: a histogram of each target's similarities to the behaviours of its bag."""

import torch

from embeddings.kernels.registry import implementation as find

MAX_TIERS = 256
_TABLE_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.int8)
_INDEX_DTYPES = (torch.int32, torch.int64)


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
        scale         [R]      float32; int8 tables only, else None
        target_rows   [B]      int32 or int64 row of each target; -1: missing, its counts are all 0
        history_rows  [T]      int32 or int64 rows of the behaviours; -1: missing, not counted
        offsets       [U + 1]  int32 or int64, not decreasing; bag u is history_rows[offsets[u] : offsets[u + 1]]
        bag_index     [B]      int32 or int64 bag of each target; None: U = B and target b has bag b
        num_tiers              N, 1 to 256
        returns       [B, N]   float32 counts; row b sums to the number of known behaviours in target b's bag

    B, T and any bag may be empty. Exact up to 2 ** 24 behaviours a tier. Counts are piecewise constant, so the op has
    no gradient, and backward through a table that requires one is an error. ``implementation`` is "auto" or a name in
    the registry. Works under ``torch.compile(fullgraph=True)``.

    Raises ValueError for a wrong shape, dtype, device, number of tiers or implementation. Rows and offsets out of
    range are a defect of the caller, which indexing asserts.
    """
    return torch.ops.recsys.simtier(
        table, scale, target_rows, history_rows, offsets, bag_index, num_tiers, implementation
    )


@torch.library.custom_op(
    "recsys::simtier",
    mutates_args=(),
    schema="(Tensor table, Tensor? scale, Tensor target_rows, Tensor history_rows, Tensor offsets, Tensor? bag_index, "
    "int num_tiers, str implementation='auto') -> Tensor",
)
def _simtier(
    table: torch.Tensor,
    scale: torch.Tensor | None,
    target_rows: torch.Tensor,
    history_rows: torch.Tensor,
    offsets: torch.Tensor,
    bag_index: torch.Tensor | None,
    num_tiers: int,
    implementation: str = "auto",
) -> torch.Tensor:
    _check(table, scale, target_rows, history_rows, offsets, bag_index, num_tiers)
    return find("simtier", implementation)(table, scale, target_rows, history_rows, offsets, bag_index, num_tiers)


@_simtier.register_fake
def _simtier_fake(
    table: torch.Tensor,
    scale: torch.Tensor | None,
    target_rows: torch.Tensor,
    history_rows: torch.Tensor,
    offsets: torch.Tensor,
    bag_index: torch.Tensor | None,
    num_tiers: int,
    implementation: str = "auto",
) -> torch.Tensor:
    _check(table, scale, target_rows, history_rows, offsets, bag_index, num_tiers)
    return table.new_empty((target_rows.shape[0], num_tiers), dtype=torch.float32)


def _check(
    table: torch.Tensor,
    scale: torch.Tensor | None,
    target_rows: torch.Tensor,
    history_rows: torch.Tensor,
    offsets: torch.Tensor,
    bag_index: torch.Tensor | None,
    num_tiers: int,
) -> None:
    if table.ndim != 2 or table.shape[1] < 1 or table.dtype not in _TABLE_DTYPES:
        raise ValueError(f"table is {_named(table)}; allowed: [R, M] with M >= 1 of {_names(_TABLE_DTYPES)}")
    if (scale is not None) != (table.dtype == torch.int8):
        raise ValueError(
            f"table is {table.dtype} and scale {_named(scale)}; allowed: a scale for int8 tables and only those"
        )
    if scale is not None and (scale.dtype != torch.float32 or scale.shape != table.shape[:1]):
        raise ValueError(
            f"scale is {_named(scale)}; allowed: float32 [{table.shape[0]}], one for each row of the table"
        )
    indices = {"target_rows": target_rows, "history_rows": history_rows, "offsets": offsets, "bag_index": bag_index}
    for name, index in indices.items():
        if index is not None and (index.ndim != 1 or index.dtype not in _INDEX_DTYPES):
            raise ValueError(f"{name} is {_named(index)}; allowed: one dimension of {_names(_INDEX_DTYPES)}")
    for name, tensor in {"scale": scale, **indices}.items():
        if tensor is not None and tensor.device != table.device:
            raise ValueError(f"{name} is on {tensor.device} but table on {table.device}; move them to one device")
    if offsets.shape[0] < 1:
        raise ValueError("offsets is empty; allowed: [U + 1] for U bags, [0] for none")
    if bag_index is None and offsets.shape[0] != target_rows.shape[0] + 1:
        raise ValueError(
            f"{target_rows.shape[0]} targets but offsets of {offsets.shape[0] - 1} bags; without bag_index each target "
            "has a bag of its own"
        )
    if bag_index is not None and bag_index.shape[0] != target_rows.shape[0]:
        raise ValueError(
            f"{target_rows.shape[0]} targets but {bag_index.shape[0]} in bag_index; allowed: one for each target"
        )
    if not 1 <= num_tiers <= MAX_TIERS:
        raise ValueError(f"num_tiers is {num_tiers}; allowed: 1 to {MAX_TIERS}")


def _named(tensor: torch.Tensor | None) -> str:
    return "None" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"


def _names(dtypes: tuple[torch.dtype, ...]) -> str:
    return ", ".join(str(dtype) for dtype in dtypes)
