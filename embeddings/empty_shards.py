"""Groups of sharded tables of which a rank has no row: FBGEMM refuses them on CPU, and nothing is to be read."""

from functools import partial
from typing import Any

import torch
from fbgemm_gpu.split_table_batched_embeddings_ops_common import PoolingMode
from fbgemm_gpu.split_table_batched_embeddings_ops_training import SplitTableBatchedEmbeddingBagsCodegen
from torchrec.distributed.embedding import ShardedEmbeddingCollection
from torchrec.distributed.embeddingbag import ShardedEmbeddingBagCollection


def skip_empty_groups(sharded: ShardedEmbeddingBagCollection | ShardedEmbeddingCollection) -> None:
    """Let groups of fused tables in ``sharded`` that have no row on this rank, which is on CPU, give what no ids give.

    A row-wise table with fewer rows than ranks leaves such groups. FBGEMM takes a group without weights in the host's
    memory for one on CUDA, and with weights that nobody reads it miscounts the tables in the backward.
    """
    for lookup in sharded._lookups:
        for group in lookup.modules():
            if isinstance(group, SplitTableBatchedEmbeddingBagsCodegen) and group.use_cpu:
                if not sum(rows for rows, *_ in group.embedding_specs):
                    group.forward = partial(_nothing, group)


def _nothing(
    group: SplitTableBatchedEmbeddingBagsCodegen, indices: torch.Tensor, offsets: torch.Tensor, *_: Any, **__: Any
) -> torch.Tensor:
    """Zeros for pooled tables, [B, columns of all features]; no embeddings, [0, columns], for others.

    They ask for a gradient, so that this rank takes its part in the exchange of gradients too.
    """
    assert not indices.numel(), "an id of a row that this rank does not have"
    if group.pooling_mode == PoolingMode.NONE:
        return torch.zeros(0, group.max_D, requires_grad=True)
    examples = (offsets.numel() - 1) // len(group.feature_table_map)
    return torch.zeros(examples, group.total_D, requires_grad=True)
