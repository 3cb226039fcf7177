"""Sequence tables cut into blocks of columns, each with its rows over one host's ranks; TorchRec does so for bags.

table_row_wise is one block as wide as the table, grid_shard several. A block is looked up as a row-wise table is, but
ranks of other hosts hold none of its rows, so no id goes to them:

    ids of each (feature, block) --all to all--> the ranks that hold their rows --lookup--> vectors --all to all--> home

The exchange speaks of all blocks to all ranks, as TorchRec's row-wise one does, with length 0 where a rank holds none.
"""

from typing import Any

import torch
from torch.distributed._shard.sharded_tensor import ShardedTensorMetadata
from torch.distributed._shard.sharding_spec import EnumerableShardingSpec, ShardMetadata
from torchrec.distributed.embedding_lookup import GroupedEmbeddingsLookup
from torchrec.distributed.embedding_sharding import EmbeddingShardingInfo, bucketize_kjt_before_all2all, group_tables
from torchrec.distributed.embedding_types import (
    BaseGroupedFeatureProcessor,
    EmbeddingComputeKernel,
    ShardedEmbeddingTable,
)
from torchrec.distributed.sharding.rw_sequence_sharding import RwSequenceEmbeddingSharding
from torchrec.distributed.sharding.rw_sharding import RwSparseFeaturesDist
from torchrec.distributed.types import Awaitable, ParameterSharding, QuantizedCommCodecs, ShardingEnv
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor


class BlockSharding(RwSequenceEmbeddingSharding):
    """TorchRec's row-wise sequence sharding, applied to blocks.

    The exchanges are of all blocks, in one order on every rank; a rank looks up the blocks that it holds rows of.
    """

    def __init__(
        self,
        sharding_infos: list[EmbeddingShardingInfo],
        env: ShardingEnv,
        device: torch.device | None = None,
        qcomm_codecs_registry: dict[str, QuantizedCommCodecs] | None = None,
    ) -> None:
        super().__init__(sharding_infos, env, device, qcomm_codecs_registry=qcomm_codecs_registry)
        self._held = self._grouped_embedding_configs
        self._grouped_embedding_configs = self._whole

    def create_input_dist(self, device: torch.device | None = None) -> RwSparseFeaturesDist:
        """What sends the ids of each (feature, block) to the ranks that hold their rows."""
        tables = self.embedding_tables()
        return _BlockInputDist(
            [self._first_rows[_block(t)] for t in tables for _ in t.feature_names],
            pg=self._pg,
            num_features=self._get_num_features(),
            feature_hash_sizes=self._get_feature_hash_sizes(),
            device=device if device is not None else self._device,
            is_sequence=True,
        )

    def create_lookup(
        self,
        device: torch.device | None = None,
        fused_params: dict[str, Any] | None = None,
        feature_processor: BaseGroupedFeatureProcessor | None = None,
    ) -> GroupedEmbeddingsLookup:
        """What looks up the blocks that this rank holds rows of."""
        held = {_block(t) for group in self._held for t in group.embedding_tables}
        features = [_block(t) for t in self.embedding_tables() for _ in t.feature_names]
        return _BlockLookup(
            [i for i, block in enumerate(features) if block in held],
            len(features),
            grouped_configs=self._held,
            pg=self._pg,
            device=device if device is not None else self._device,
            env=self._env,
        )

    def _shard(self, sharding_infos: list[EmbeddingShardingInfo]) -> list[list[ShardedEmbeddingTable]]:
        blocks: dict[tuple, list[tuple[int, ShardedEmbeddingTable]]] = {}
        for info in sharding_infos:
            config, shards = info.embedding_config, table_shards(info.param_sharding)
            size = torch.Size([config.num_embeddings, config.embedding_dim])
            whole = ShardedTensorMetadata(shards_metadata=shards, size=size)
            for shard in sorted(shards, key=lambda s: (s.shard_offsets[1], s.shard_offsets[0])):
                table = ShardedEmbeddingTable(
                    num_embeddings=config.num_embeddings,
                    embedding_dim=config.embedding_dim,
                    name=config.name,
                    embedding_names=config.embedding_names,
                    data_type=config.data_type,
                    feature_names=config.feature_names,
                    pooling=config.pooling,
                    is_weighted=config.is_weighted,
                    has_feature_processor=config.has_feature_processor,
                    local_rows=shard.shard_sizes[0],
                    local_cols=shard.shard_sizes[1],
                    compute_kernel=EmbeddingComputeKernel(info.param_sharding.compute_kernel),
                    local_metadata=shard,
                    global_metadata=whole,
                    weight_init_max=config.weight_init_max,
                    weight_init_min=config.weight_init_min,
                    fused_params=info.fused_params,
                )
                rank = shard.placement.rank() if shard.placement is not None else None
                assert rank is not None
                blocks.setdefault(_block(table), []).append((rank, table))
        (self._whole,) = group_tables([[held[0][1] for held in blocks.values()]])
        order = [_block(t) for group in self._whole for t in group.embedding_tables]
        self._first_rows = {block: self._bounds(held) for block, held in blocks.items()}
        return [
            [table for block in order for rank, table in blocks[block] if rank == here]
            for here in range(self._world_size)
        ]

    def _bounds(self, held: list[tuple[int, ShardedEmbeddingTable]]) -> torch.Tensor:
        """[W + 1] int64: rank r holds rows from its entry up to the next one, none where they are equal."""
        ranks = [rank for rank, _ in held]
        assert ranks == sorted(set(ranks)), "the rows of a block go over ranks in order"
        rows = dict.fromkeys(range(self._world_size), 0) | {rank: table.local_rows for rank, table in held}
        return torch.tensor([0, *rows.values()]).cumsum(0)


def table_shards(parameter: ParameterSharding) -> list[ShardMetadata]:
    """The shards of a table, as its plan lists them."""
    assert isinstance(parameter.sharding_spec, EnumerableShardingSpec)
    return parameter.sharding_spec.shards


def _block(table: ShardedEmbeddingTable) -> tuple[str, int]:
    """A block's name: its table and first column."""
    assert table.local_metadata is not None
    return table.name, table.local_metadata.shard_offsets[1]


class _BlockInputDist(RwSparseFeaturesDist):
    """Sends each id of a feature to the rank whose rows it is among."""

    _feature_block_sizes_tensor: torch.Tensor  # a buffer

    def __init__(self, first_rows: list[torch.Tensor], **row_wise: Any) -> None:
        super().__init__(**row_wise)
        self._first_rows = first_rows

    def forward(self, sparse_features: KeyedJaggedTensor) -> Awaitable[Awaitable[KeyedJaggedTensor]]:
        bucketized, self.unbucketize_permute_tensor = bucketize_kjt_before_all2all(
            sparse_features,
            num_buckets=self._world_size,
            block_sizes=self._feature_block_sizes_tensor,
            output_permute=True,
            block_bucketize_row_pos=self._first_rows,
        )
        return self._dist(bucketized)


class _BlockLookup(GroupedEmbeddingsLookup):
    """Looks up the features whose blocks are held here; the others came without ids."""

    def __init__(self, held: list[int], features: int, **grouped: Any) -> None:
        super().__init__(**grouped)
        self._held = held if len(held) < features else None

    def forward(self, sparse_features: KeyedJaggedTensor) -> torch.Tensor:
        if self._held == []:
            return self._dummy_embs_tensor
        return super().forward(sparse_features if self._held is None else sparse_features.permute(self._held))
