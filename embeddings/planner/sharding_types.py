"""TorchRec's seven sharding types by name, and where the shards of each may lie. Plain data, no torch, no numpy."""

from collections.abc import Sequence
from typing import Literal, get_args

from embeddings.errors import InputError

ShardingType = Literal[
    "data_parallel",
    "table_wise",
    "column_wise",
    "row_wise",
    "table_row_wise",
    "table_column_wise",
    "grid_shard",
]
SHARDING_TYPES: tuple[str, ...] = get_args(ShardingType)
# Ranks of a type's shards. every: one shard a rank, in the order of ranks; any: each shard on any rank; host: all
# shards on the ranks of one host; hosts: the rows of each column block on the ranks of one host.
SHARD_RANKS = {
    "data_parallel": "every",
    "row_wise": "every",
    "table_wise": "any",
    "column_wise": "any",
    "table_row_wise": "host",
    "table_column_wise": "host",
    "grid_shard": "hosts",
}
CUTS_COLUMNS = ("column_wise", "table_column_wise", "grid_shard")


def possible_sharding_types(rows: int, columns: int, zch: bool, device: str) -> tuple[tuple[str, ...], str]:
    """Sharding types that run for a table of [rows, columns], and words on why not all: " as ...", or nothing.

    TorchRec hides row-wise types on CPU, where they run on gloo; embeddings/sequences.py adds the types that TorchRec
    lacks for tables that are not pooled, embeddings/empty_shards.py lets a table have fewer rows than ranks.
    """
    if columns % 4 and (zch or device != "cpu"):
        return (), f", as its width {columns} is no multiple of 4, which FBGEMM needs; set its embedding_dim to one"
    if columns % 4:
        return (
            "data_parallel",
        ), f", as its width {columns} is no multiple of 4, which FBGEMM needs of tables in parts"
    if zch:
        return ("row_wise",), ", as it has ids: zch"
    if rows == 1:  # of an optimizer with a number a row, TorchRec cannot put the state of such shards together
        return tuple(kind for kind in SHARDING_TYPES if kind != "grid_shard"), ", as it has a single row"
    return SHARDING_TYPES, ""


def allowed_types(name: str, wanted: Sequence[str], of_table: bool, possible: tuple[tuple[str, ...], str]) -> list[str]:
    """The types of ``wanted`` that a table can have.

    Args:
        of_table: whether they are asked for of this table, and not of all, of which each takes what it can.
        possible: of ``possible_sharding_types``.

    Raises InputError where there is none, or where one that is asked for of this table is not possible.
    """
    types, why = possible
    allowed = [t for t in wanted if t in types]
    if not allowed or (of_table and allowed != list(wanted)):
        step = f"; allowed: {list(types)}; set sharding.tables.{name}.sharding_types to some of these" if types else ""
        raise InputError(f"table '{name}': sharding types {list(wanted)} are not possible{why}{step}")
    return allowed
