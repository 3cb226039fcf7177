"""Shard layout: how each sharding type cuts a table into shards, as TorchRec's sharded collections expect them."""

import numpy as np

NARROWEST, MOST_BLOCKS = 32, 32  # columns of a shard, and column blocks of a table, where no constraint names a width


def block_widths(columns: int, wanted: int | None) -> list[int]:
    """Widths that the column shards of a table of ``columns`` columns may have: multiples of four that divide it.

    Args:
        wanted: TableConstraint.min_partition; the result is then this or the next wider one. None: the narrowest from
            NARROWEST up that gives at most MOST_BLOCKS, and wider ones, each at least twice the one before it.
            FBGEMM wants multiples of four.

    Returns the widths in increasing order; [columns], one block, where nothing narrower divides.
    """
    at_least = wanted or max(NARROWEST, -(-columns // MOST_BLOCKS))
    fitting = [w for w in range(-(-at_least // 4) * 4, columns, 4) if columns % w == 0]
    if wanted:
        return fitting[:1] or [columns]
    spread: list[int] = []
    for width in reversed(fitting):  # the search places each, and knows little to choose by between such as are close
        if width == fitting[0] or not spread or 2 * width <= spread[-1]:
            spread.append(width)
    return spread[::-1] or [columns]


def cut_shards(
    sharding_type: str, rows: int, columns: int, world_size: int, ranks_of_host: int, width: int
) -> np.ndarray:
    """The shards of a table of [rows, columns] in TorchRec's order: column block after column block, rows within.

    Args:
        ranks_of_host: ranks that share the rows of table_row_wise and grid_shard; row_wise has ``world_size``.
        width: columns of a column block; used where the type cuts columns.

    Returns int64 [S, 4]: first row, first column, rows, columns. Row blocks are of equal size, the last ones cut short
    or empty, as in TorchRec. data_parallel has the whole table once for each rank.
    """
    if sharding_type in ("table_wise", "data_parallel"):
        return np.tile(np.array([[0, 0, rows, columns]]), (world_size if sharding_type == "data_parallel" else 1, 1))
    blocks = np.arange(0, columns, width)
    if sharding_type in ("column_wise", "table_column_wise"):
        return np.array([[0, column, rows, width] for column in blocks])
    parts = world_size if sharding_type == "row_wise" else ranks_of_host
    height = -(-rows // parts)
    first = np.minimum(np.arange(parts) * height, rows)
    heights = np.minimum(height, rows - first)
    if sharding_type != "grid_shard":
        return np.stack([first, np.zeros_like(first), heights, np.full_like(first, columns)], axis=1)
    return np.array([[f, column, h, width] for column in blocks for f, h in zip(first, heights, strict=True)])
