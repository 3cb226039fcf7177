"""What a config allows the planner for one table: sharding types, column width, compute kernels. Imports no torch."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from embeddings.planner.sharding_types import ShardingType


class TableConstraint(BaseModel):
    """What the planner may do with one table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sharding_types: list[ShardingType] | None = None
    min_partition: int | None = Field(None, ge=1, description="narrowest column shard")
    compute_kernels: list[Literal["fused", "fused_uvm", "fused_uvm_caching"]] | None = Field(
        None, description="CUDA; the uvm kernels keep rows in host memory; null: fused, in device memory"
    )
