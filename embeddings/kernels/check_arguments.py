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
    check_indices(indices)
    check_devices("table", table, {"scale": scale, **indices})
    check_bag_of_each(target_rows.shape[0], offsets, bag_index)


def check_indices(indices: dict[str, torch.Tensor | None]) -> None:
    """Raise ValueError where one that is given has not one dimension of int32 or int64."""
    for name, index in indices.items():
        if index is not None and (index.ndim != 1 or index.dtype not in _INDEX_DTYPES):
            raise ValueError(f"{name} is {named(index)}; allowed: one dimension of {_names(_INDEX_DTYPES)}")


def check_devices(first: str, tensor: torch.Tensor, others: dict[str, torch.Tensor | None]) -> None:
    """Raise ValueError where one of the others is not on the device of the ``first``."""
    for name, other in others.items():
        if other is not None and other.device != tensor.device:
            raise ValueError(f"{name} is on {other.device} but {first} on {tensor.device}; move them to one device")


def check_bag_of_each(targets: int, offsets: torch.Tensor, bag_index: torch.Tensor | None) -> None:
    """Raise ValueError where the targets have no bag each."""
    if offsets.shape[0] < 1:
        raise ValueError("offsets is empty; allowed: [U + 1] for U bags, [0] for none")
    if bag_index is None and offsets.shape[0] != targets + 1:
        raise ValueError(
            f"{targets} targets but offsets of {offsets.shape[0] - 1} bags; without bag_index each target has a bag of "
            "its own"
        )
    if bag_index is not None and bag_index.shape[0] != targets:
        raise ValueError(f"{targets} targets but {bag_index.shape[0]} in bag_index; allowed: one for each target")


def named(tensor: torch.Tensor | None) -> str:
    """Dtype and shape as text, for errors."""
    return "None" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"


def _names(dtypes: tuple[torch.dtype, ...]) -> str:
    return ", ".join(str(dtype) for dtype in dtypes)
