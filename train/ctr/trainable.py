"""State of CTR training: the sharded model, its optimizer, the sharding plan that placed it."""

from dataclasses import dataclass

from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.optim.keyed import CombinedOptimizer

from embeddings.planner.sharding_plan import ShardingPlan


@dataclass(frozen=True)
class Trainable:
    """A sharded model, the one optimizer over all of it, and how many parameters are dense."""

    model: DistributedModelParallel
    optimizer: CombinedOptimizer
    plan: ShardingPlan
    dense_parameters: int
