"""What a config allows the planner for one table: sharding types, column width, compute kernels. Imports no torch."""

from typing import Literal

from pydantic import Field

from embeddings.planner.sharding_types import SHARDING_TYPES, ShardingType
from embeddings.validation import Strict

# Of a table: far above what anybody uses, and what everything that takes the numbers can hold.
MOST_COLUMNS, MOST_TABLE_ROWS = 4096, 10**12


class TableConstraint(Strict):
    """What the planner may do with one table."""

    sharding_types: list[ShardingType] | None = Field(None, max_length=len(SHARDING_TYPES))
    min_partition: int | None = Field(None, ge=1, le=MOST_COLUMNS, description="narrowest column shard")
    compute_kernels: list[Literal["fused", "fused_uvm", "fused_uvm_caching"]] | None = Field(
        None, max_length=3, description="CUDA; the uvm kernels keep rows in host memory; null: fused, in device memory"
    )
