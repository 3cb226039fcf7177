"""A sharding plan as plain data: which rank holds which shard of which table. Named as in TorchRec."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ParameterSharding:
    """How one table is sharded.

    module          path of the collection that holds the table in the model, such as sparse.bags
    sharding_type   one of SHARDING_TYPES
    compute_kernel  fused, fused_uvm or fused_uvm_caching; dense where sharding_type is data_parallel
    shards          int64 [S, 5]: first row, first column, rows, columns, rank. Of a data_parallel table every rank has
                    one shard, which is the whole table
    """

    module: str
    sharding_type: str
    compute_kernel: str
    shards: np.ndarray

    @property
    def ranks(self) -> list[int]:
        """Rank of each shard, [S]."""
        return [int(r) for r in self.shards[:, 4]]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ParameterSharding):
            return NotImplemented
        same = (self.module, self.sharding_type, self.compute_kernel)
        return same == (other.module, other.sharding_type, other.compute_kernel) and np.array_equal(
            self.shards, other.shards
        )


@dataclass(frozen=True)
class ShardingPlan:
    """Which rank holds which part of which table, for one world size, and where frozen tables live.

    ranks_of_host  ranks on each host
    device         cpu or cuda
    batch_size     rows a rank and step that the plan was made for
    tables         table name -> its sharding
    frozen         modality -> replicated, host or row_wise
    """

    world_size: int
    ranks_of_host: int
    device: str
    batch_size: int
    tables: Mapping[str, ParameterSharding]
    frozen: Mapping[str, str]
