"""How each sharding type cuts a table: shards as arrays, cut the way TorchRec's sharded collections expect them."""

import numpy as np

TYPES = (
    "data_parallel",
    "table_wise",
    "column_wise",
    "row_wise",
    "table_row_wise",
    "table_column_wise",
    "grid_shard",
)
# Where the shards of a type may go: any rank; the ranks of one host; every rank in order; a host for each column block.
PLACES = {
    "data_parallel": "every",
    "row_wise": "every",
    "table_wise": "any",
    "column_wise": "any",
    "table_row_wise": "host",
    "table_column_wise": "host",
    "grid_shard": "hosts",
}
CUTS_COLUMNS = ("column_wise", "table_column_wise", "grid_shard")
NARROWEST = 32  # columns of a shard, where no constraint names a width


def possible_types(managed: bool) -> tuple[str, ...]:
    """Types that truly run, on any device: all, but TorchRec shards the ids of managed tables row-wise alone.

    Row-wise types run on gloo too, though TorchRec hides them on CPU; embeddings/sequences.py adds those that TorchRec
    does not have for tables that are not pooled.
    """
    return ("row_wise",) if managed else TYPES


def block_widths(columns: int, wanted: int | None) -> list[int]:
    """Widths that column shards may have: ``wanted`` or the next wider one that divides, else all from NARROWEST up.

    FBGEMM wants multiples of four. Where nothing divides, the whole width.
    """
    at_least = wanted or NARROWEST
    fitting = [w for w in range(at_least, columns) if columns % w == 0 and w % 4 == 0]
    return fitting[:1] or [columns] if wanted else fitting or [columns]


def cut(kind: str, rows: int, columns: int, world_size: int, ranks_of_host: int, width: int) -> np.ndarray:
    """The shards of a table.

    Args:
        width: of a column block, where the type cuts columns.

    Returns:
        int64 [S, 4]: first row, first column, rows, columns. Row blocks are of equal size, the last ones cut short or
        empty, as in TorchRec.
    """
    if kind in ("table_wise", "data_parallel"):
        return np.tile(np.array([[0, 0, rows, columns]]), (world_size if kind == "data_parallel" else 1, 1))
    blocks = np.arange(0, columns, width)
    if kind in ("column_wise", "table_column_wise"):
        return np.array([[0, column, rows, width] for column in blocks])
    pieces = world_size if kind == "row_wise" else ranks_of_host
    height = -(-rows // pieces)
    first = np.minimum(np.arange(pieces) * height, rows)
    heights = np.minimum(height, rows - first)
    if kind != "grid_shard":
        return np.stack([first, np.zeros_like(first), heights, np.full_like(first, columns)], axis=1)
    return np.array([[f, column, h, width] for column in blocks for f, h in zip(first, heights, strict=True)])
