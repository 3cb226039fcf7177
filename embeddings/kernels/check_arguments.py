"""Argument checks of all kernels: shape, dtype and device of table, rows, offsets and bags."""

import torch

_TABLE_DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.int8)
_INDEX_DTYPES = (torch.int32, torch.int64)


def check_bags(
    table: torch.Tensor,
    scale: torch.Tensor | None,
    target_rows: torch.Tensor,
    history_rows: torch.Tensor,
    offsets: torch.Tensor,
    bag_index: torch.Tensor | None,
    *,
    own_norms: bool,
) -> None:
    """Raise ValueError for a wrong shape, dtype or device, naming what was got and what is allowed.

    The arguments are those of ``embeddings.kernels.simtier.op.simtier``.

    Args:
        own_norms: whether an int8 table may come without a scale, as the kernel divides its rows by their own norms.
    """
    if table.ndim != 2 or table.shape[1] < 1 or table.dtype not in _TABLE_DTYPES:
        raise ValueError(f"table is {named(table)}; allowed: [R, M] with M >= 1 of {_names(_TABLE_DTYPES)}")
    if (scale is not None) != (table.dtype == torch.int8) and not (own_norms and scale is None):
        raise ValueError(
            f"table is {table.dtype} and scale {named(scale)}; allowed: a scale for int8 tables and only those"
        )
    if scale is not None and (scale.dtype != torch.float32 or scale.shape != table.shape[:1]):
        raise ValueError(f"scale is {named(scale)}; allowed: float32 [{table.shape[0]}], one for each row of the table")
    indices = {"target_rows": target_rows, "history_rows": history_rows, "offsets": offsets, "bag_index": bag_index}
    for name, index in indices.items():
        if index is not None and (index.ndim != 1 or index.dtype not in _INDEX_DTYPES):
            raise ValueError(f"{name} is {named(index)}; allowed: one dimension of {_names(_INDEX_DTYPES)}")
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


def named(tensor: torch.Tensor | None) -> str:
    """Dtype and shape as text, for errors."""
    return "None" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"


def _names(dtypes: tuple[torch.dtype, ...]) -> str:
    return ", ".join(str(dtype) for dtype in dtypes)
