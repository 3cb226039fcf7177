"""TorchRec's seven sharding types by name, and where the shards of each may lie. Plain data, no torch, no numpy."""

from typing import Literal, get_args

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


def possible_sharding_types(zch: bool) -> tuple[str, ...]:
    """Sharding types that run on CPU and CUDA: all, but row_wise alone for a ZCH table, whose ids TorchRec shards so.

    TorchRec hides row-wise types on CPU, where they run on gloo; embeddings/sequences.py adds the types that TorchRec
    lacks for tables that are not pooled.
    """
    return ("row_wise",) if zch else SHARDING_TYPES
