"""Sequence tables: replicated on CPU they keep their sequences, and shards that TorchRec would misread are refused."""

import pytest
import torch
import torch.distributed as dist
from fbgemm_gpu.split_embedding_configs import SparseType
from fbgemm_gpu.split_table_batched_embeddings_ops_common import PoolingMode
from fbgemm_gpu.split_table_batched_embeddings_ops_training import DenseTableBatchedEmbeddingBagsCodegen
from torch.distributed._shard.sharding_spec import EnumerableShardingSpec, ShardMetadata
from torchrec.distributed.types import ParameterSharding, ShardingEnv
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from embeddings.errors import InputError
from embeddings.sequences import SequenceSharder
from embeddings.tables import TableConfig, sequence_collection

CPU = torch.device("cpu")


def table(name: str, rows: int, *features: str) -> TableConfig:
    lengths = tuple(2.0 for _ in features)
    return TableConfig(
        name=name, num_embeddings=rows, embedding_dim=8, features=features, pooled=False, mean_length=lengths
    )


TABLES = [table("item", 20, "item", "history"), table("shop", 5, "visits")]


@pytest.fixture
def env(tmp_path):
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/join", rank=0, world_size=1)
    yield ShardingEnv.from_process_group(dist.group.WORLD)
    dist.destroy_process_group()


def cut(widths: list[int], kind: str = "column_wise") -> ParameterSharding:
    shards, start = [], 0
    for width in widths:
        shards.append(ShardMetadata(shard_offsets=[0, start], shard_sizes=[20, width], placement="rank:0/cpu"))
        start += width
    return ParameterSharding(kind, "fused", [0] * len(widths), EnumerableShardingSpec(shards))


@pytest.mark.filterwarnings("ignore")  # what torch and TorchRec say of each other
def test_replicated_tables_give_every_embedding_and_take_every_gradient(env):
    whole = ParameterSharding("data_parallel", "dense", [0], None)
    sharded = SequenceSharder().shard(sequence_collection(TABLES), {t.name: whole for t in TABLES}, env, CPU)
    weights = {name.split(".")[-2]: p for name, p in sharded.named_parameters()}
    before = {name: torch.randn(p.shape, generator=torch.Generator().manual_seed(3)) for name, p in weights.items()}
    with torch.no_grad():
        for name, p in weights.items():
            p.copy_(before[name])
    lengths = {"visits": [2, 0, 1], "history": [0, 4, 0], "item": [1, 1, 1]}
    ids = {"visits": [4, 4, 0], "history": [19, 0, 7, 19], "item": [7, 3, 0]}
    kjt = KeyedJaggedTensor(
        keys=list(ids),
        values=torch.tensor([i for bag in ids.values() for i in bag]),
        lengths=torch.tensor([n for bag in lengths.values() for n in bag]),
    )
    output = sharded(kjt).wait()
    upstream = {name: torch.randn(len(ids[name]), 8, generator=torch.Generator().manual_seed(5)) for name in ids}
    expected = {t.name: torch.zeros(t.num_embeddings, 8) for t in TABLES}
    for t in TABLES:
        for feature in t.features:
            assert torch.equal(output[feature].values(), before[t.name][ids[feature]]), feature
            assert output[feature].lengths().tolist() == lengths[feature]
            for i, gradient in zip(ids[feature], upstream[feature], strict=True):
                expected[t.name][i] += gradient
    sum((output[f].values() * upstream[f]).sum() for f in ids).backward()
    lookup = sharded._lookups[0].module._emb_modules[0].emb_module
    for gradient, t in zip(lookup.weights.grad.split([160, 40]), TABLES, strict=True):
        torch.testing.assert_close(gradient.view(-1, 8), expected[t.name])


@pytest.mark.filterwarnings("ignore")
def test_fbgemm_sums_an_unpooled_lookup_in_its_dense_kernel_on_cpu():
    """Why replicated sequences have a lookup of their own. Where this fails, FBGEMM has learnt it and ours can go."""
    kernel = DenseTableBatchedEmbeddingBagsCodegen(
        [(20, 8)], pooling_mode=PoolingMode.NONE, use_cpu=True, output_dtype=SparseType.FP32
    )
    output = kernel(torch.tensor([1, 2, 3]), torch.tensor([0, 2, 3]))
    table = kernel.split_embedding_weights()[0]
    assert output.shape == (2, 8), "three ids gave two rows"
    torch.testing.assert_close(output[0], table[1] + table[2])


def test_columns_must_be_cut_alike(env):
    params = {"item": cut([4, 4]), "shop": cut([8], "table_column_wise")}
    with pytest.raises(InputError, match=r"shards of one width, got \{'item': 4, 'shop': 8\}; set the same"):
        SequenceSharder().shard(sequence_collection(TABLES), params, env, CPU)
