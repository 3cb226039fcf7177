"""Sequence tables in blocks on four ranks of two hosts, against one whole table: started by torchrun.

Looks ids up, trains one step with SGD, looks them up again, and says what differs.
"""

import sys
import warnings

import torch
import torch.distributed as dist
from torch.distributed._shard.sharding_spec import EnumerableShardingSpec, ShardMetadata
from torch.distributed.optim import _apply_optimizer_in_backward as apply_in_backward
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.types import (
    EmbeddingModuleShardingPlan,
    ParameterSharding,
    ShardingEnv,
    ShardingPlan,
)
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from embeddings.initialise import initialise_tables
from embeddings.sequences import SequenceSharder
from embeddings.tables import TableConfig, sequence_collection

WIDTH, BATCH, RATE = 8, 3, 0.5
# name -> rows, features, sharding type, shards (first row, first column, rows, columns, rank)
TABLES = {
    "low": (10, ("a", "b"), "table_row_wise", [(0, 0, 5, 8, 0), (5, 0, 5, 8, 1)]),
    "high": (7, ("c",), "table_row_wise", [(0, 0, 4, 8, 2), (4, 0, 3, 8, 3)]),
    "tiny": (1, ("d",), "table_row_wise", [(0, 0, 1, 8, 2), (1, 0, 0, 8, 3)]),
    "grid": (9, ("e", "f"), "grid_shard", [(0, 0, 5, 4, 2), (5, 0, 4, 4, 3), (0, 4, 5, 4, 0), (5, 4, 4, 4, 1)]),
    "home": (6, ("g",), "grid_shard", [(0, 0, 3, 4, 0), (3, 0, 3, 4, 1), (0, 4, 3, 4, 0), (3, 4, 3, 4, 1)]),
    "columns": (5, ("h",), "column_wise", [(0, 0, 5, 4, 3), (0, 4, 5, 4, 1)]),
    "rows": (5, ("i",), "row_wise", [(0, 0, 2, 8, 0), (2, 0, 2, 8, 1), (4, 0, 1, 8, 2), (5, 0, 0, 8, 3)]),
    "whole": (8, ("j",), "table_wise", [(0, 0, 8, 8, 3)]),
}  # fmt: skip


class Model(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sequences = sequence_collection(
            TableConfig(
                name=name,
                num_embeddings=rows,
                embedding_dim=WIDTH,
                features=features,
                pooled=False,
                mean_length=tuple(2.0 for _ in features),
            )
            for name, (rows, features, _, _) in TABLES.items()
        )

    def forward(self, ids: KeyedJaggedTensor) -> dict:
        return self.sequences(ids)


def plan() -> ShardingPlan:
    tables = EmbeddingModuleShardingPlan()
    for name, (_, _, kind, shards) in TABLES.items():
        spec = [ShardMetadata(shard_offsets=[r, c], shard_sizes=[h, w], placement=f"rank:{rank}/cpu")
                for r, c, h, w, rank in shards]  # fmt: skip
        tables[name] = ParameterSharding(kind, "fused", [s[4] for s in shards], EnumerableShardingSpec(spec))
    return ShardingPlan({"sequences": tables})


def whole_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Every table gathered on every rank."""
    weights = {}
    for key, value in model.state_dict().items():
        whole = torch.zeros(value.size())
        for shard in value.local_shards():
            (row, column), (height, width) = shard.metadata.shard_offsets, shard.metadata.shard_sizes
            whole[row : row + height, column : column + width] += shard.tensor
        dist.all_reduce(whole)
        weights[key.split(".")[-2]] = whole
    return weights


def batch(rank: int) -> KeyedJaggedTensor:
    random = torch.Generator().manual_seed(rank)
    keys, lengths, values = [], [], []
    for rows, features, _, _ in TABLES.values():
        for feature in features:
            here = torch.randint(0, 5, (BATCH,), generator=random)
            keys, lengths = [*keys, feature], [*lengths, here]
            values.append(torch.randint(0, rows, (int(here.sum()),), generator=random))
    return KeyedJaggedTensor(keys=keys, values=torch.cat(values), lengths=torch.cat(lengths))


def main() -> None:
    warnings.simplefilter("ignore")
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    model = Model()
    apply_in_backward(torch.optim.SGD, model.parameters(), {"lr": RATE})
    sharded = DistributedModelParallel(
        model, ShardingEnv.from_process_group(dist.group.WORLD), torch.device("cpu"), plan(), [SequenceSharder()]
    )
    initialise_tables(sharded, 3)
    before = whole_weights(sharded)
    ids = batch(rank)
    output = {feature: jagged for feature, jagged in sharded(ids).items()}
    loss = torch.zeros(())
    for name, (_, features, _, _) in TABLES.items():
        for feature in features:
            mine = ids[feature]
            assert torch.equal(output[feature].values(), before[name][mine.values()]), f"{feature} of '{name}'"
            assert torch.equal(output[feature].lengths(), mine.lengths()), feature
            loss = loss + (output[feature].values() * upstream(feature, mine.values().numel())).sum()
    loss.backward()
    after = whole_weights(sharded)
    for name, (_, features, _, _) in TABLES.items():
        gradient = torch.zeros_like(before[name])
        for other in range(world):
            theirs = batch(other)
            for feature in features:
                values = theirs[feature].values()
                gradient.index_add_(0, values, upstream(feature, values.numel()))
        wanted = before[name] - RATE * gradient / world  # TorchRec takes the mean over ranks
        torch.testing.assert_close(after[name], wanted, msg=lambda text, name=name: f"table '{name}': {text}")
    dist.destroy_process_group()


def upstream(feature: str, count: int) -> torch.Tensor:
    return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(ord(feature) + count))


if __name__ == "__main__":
    main()
    sys.exit(0)
