"""Sequence tables sharded in every way that keeps sequences: TorchRec's EmbeddingCollection and what it leaves out.

TorchRec shards an EmbeddingCollection table-wise, column-wise, row-wise and, on CUDA, replicated. Here are, besides,

    data_parallel      on CPU, where FBGEMM's dense kernel has no unpooled form and sums a sequence without a word
    table_column_wise  column-wise; that all shards are on one host is the planner's part
    table_row_wise     embeddings/sequence_blocks.py
    grid_shard         embeddings/sequence_blocks.py, together with what else is cut by columns
"""

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.distributed import ProcessGroup
from torchrec.distributed.batched_embedding_kernel import BaseEmbedding, BatchedDenseEmbedding
from torchrec.distributed.embedding import (
    EmbeddingCollectionSharder,
    ShardedEmbeddingCollection,
)
from torchrec.distributed.embedding_lookup import GroupedEmbeddingsLookup
from torchrec.distributed.embedding_sharding import EmbeddingSharding, EmbeddingShardingInfo
from torchrec.distributed.embedding_types import BaseGroupedFeatureProcessor, GroupedEmbeddingConfig
from torchrec.distributed.sharding.dp_sequence_sharding import DpSequenceEmbeddingSharding
from torchrec.distributed.sharding.sequence_sharding import SequenceShardingContext
from torchrec.distributed.types import ParameterSharding, QuantizedCommCodecs, ShardingEnv, ShardingType
from torchrec.modules.embedding_modules import EmbeddingCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from embeddings.empty_shards import skip_empty_groups
from embeddings.errors import InputError
from embeddings.planner.sharding_types import CUTS_COLUMNS, SHARDING_TYPES
from embeddings.sequence_blocks import BlockSharding, table_shards

_GRID = ShardingType.GRID_SHARD.value


class SequenceSharder(EmbeddingCollectionSharder):
    """Shards an EmbeddingCollection in any of SHARDING_TYPES. Raises InputError for column shards of several widths."""

    def sharding_types(self, compute_device_type: str) -> list[str]:
        return list(SHARDING_TYPES)

    def shard(
        self,
        module: EmbeddingCollection,
        params: dict[str, ParameterSharding],
        env: ShardingEnv,
        device: torch.device | None = None,
        module_fqn: str | None = None,
    ) -> ShardedEmbeddingCollection:
        widths = {n: _block_width(p) for n, p in params.items() if p.sharding_type in CUTS_COLUMNS}
        if len(set(widths.values())) > 1:  # TorchRec would read beyond the narrower ones
            raise InputError(
                f"sequence tables cut by columns need shards of one width, got {widths}; "
                f"set the same sharding.tables.NAME.min_partition for them, or another sharding type"
            )
        in_blocks = any(p.sharding_type == _GRID for p in params.values())
        sharded = ShardedSequences(
            module,
            {name: _known(p, in_blocks) if name in widths else p for name, p in params.items()},
            env,
            self.fused_params,
            device,
            qcomm_codecs_registry=self.qcomm_codecs_registry,
            use_index_dedup=self._use_index_dedup,
            module_fqn=module_fqn,
        )
        skip_empty_groups(sharded)
        return sharded

    @property
    def sharded_module_type(self) -> type[ShardedEmbeddingCollection]:
        return ShardedSequences


class ShardedSequences(ShardedEmbeddingCollection):
    """TorchRec's ShardedEmbeddingCollection with the sharding types that it lacks."""

    @classmethod
    def create_embedding_sharding(
        cls,
        sharding_type: str,
        sharding_infos: list[EmbeddingShardingInfo],
        env: ShardingEnv,
        device: torch.device | None = None,
        qcomm_codecs_registry: dict[str, QuantizedCommCodecs] | None = None,
    ) -> EmbeddingSharding[SequenceShardingContext, KeyedJaggedTensor, torch.Tensor, torch.Tensor]:
        if sharding_type == ShardingType.DATA_PARALLEL.value:
            return _ReplicatedSharding(sharding_infos=sharding_infos, env=env, device=device)
        in_blocks = any(isinstance(info.param_sharding, _InBlocks) for info in sharding_infos)
        if in_blocks or sharding_type == ShardingType.TABLE_ROW_WISE.value:
            return BlockSharding(sharding_infos, env, device, qcomm_codecs_registry)
        return super().create_embedding_sharding(sharding_type, sharding_infos, env, device, qcomm_codecs_registry)


class _InBlocks(ParameterSharding):
    """What BlockSharding is to do, though TorchRec reads column_wise, under which it puts columns together again."""


def _known(parameter: ParameterSharding, in_blocks: bool) -> ParameterSharding:
    """``parameter`` of a table that is cut by columns, under the name that TorchRec knows for it."""
    column_wise = replace(parameter, sharding_type=ShardingType.COLUMN_WISE.value)
    if not in_blocks:
        return column_wise
    blocks = len({shard.shard_offsets[1] for shard in table_shards(parameter)})
    return _InBlocks(**{**vars(column_wise), "ranks": list(range(blocks))})  # in the order of columns already


def _block_width(parameter: ParameterSharding) -> int:
    return max(shard.shard_sizes[1] for shard in table_shards(parameter))


class _ReplicatedSharding(DpSequenceEmbeddingSharding):
    """TorchRec's data_parallel, with lookups that keep sequences on CPU too."""

    def create_lookup(
        self,
        device: torch.device | None = None,
        fused_params: dict[str, Any] | None = None,
        feature_processor: BaseGroupedFeatureProcessor | None = None,
    ) -> GroupedEmbeddingsLookup:
        device = device if device is not None else self._device
        lookup = _ReplicatedLookup if device is None or device.type == "cpu" else GroupedEmbeddingsLookup
        return lookup(
            grouped_configs=self._grouped_embedding_configs,
            pg=self._env.process_group,
            device=device,
            env=self._env,
        )


class _ReplicatedLookup(GroupedEmbeddingsLookup):
    def _create_embedding_kernel(
        self,
        config: GroupedEmbeddingConfig,
        pg: ProcessGroup | None,
        device: torch.device | None,
        env: ShardingEnv | None = None,
    ) -> BaseEmbedding:
        return _ReplicatedTables(config=config, pg=pg, device=device)


class _ReplicatedTables(BatchedDenseEmbedding):
    """Whole tables, looked up by torch.nn.functional.embedding: [T, D], feature after feature."""

    def forward(self, features: KeyedJaggedTensor) -> torch.Tensor:
        module = self.emb_module
        sizes = [rows * width for rows, width in module.embedding_specs]
        tables = [w.view(spec) for w, spec in zip(module.weights.split(sizes), module.embedding_specs, strict=True)]
        ids = features.values().split(features.length_per_key())
        return torch.cat(
            [nn.functional.embedding(i, tables[t]) for i, t in zip(ids, self._feature_table_map, strict=True)]
        )
