"""Groups of tables without a row on a rank: they give zeros or nothing, and take their part in the backward."""

from types import SimpleNamespace

import pytest
import torch
from fbgemm_gpu.split_embedding_configs import EmbOptimType
from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation, PoolingMode
from fbgemm_gpu.split_table_batched_embeddings_ops_training import (
    ComputeDevice,
    SplitTableBatchedEmbeddingBagsCodegen,
)

from embeddings.empty_shards import skip_empty_groups

OPTIMIZERS = [EmbOptimType.EXACT_ROWWISE_ADAGRAD, EmbOptimType.EXACT_ADAGRAD, EmbOptimType.EXACT_SGD]


def group(pooling: PoolingMode, optimizer: EmbOptimType, *rows: int) -> SplitTableBatchedEmbeddingBagsCodegen:
    """Tables of ``rows``, the first with two features, as a rank of several has them."""
    made = SplitTableBatchedEmbeddingBagsCodegen(
        [(r, 8, EmbeddingLocation.HOST, ComputeDevice.CPU) for r in rows],
        feature_table_map=[0, *range(len(rows))],
        optimizer=optimizer,
        pooling_mode=pooling,
        device=torch.device("cpu"),
    )
    skip_empty_groups(SimpleNamespace(_lookups=[torch.nn.ModuleList([made])]))  # type: ignore[arg-type]  # all that is asked of it
    return made


def looked_up(made: SplitTableBatchedEmbeddingBagsCodegen, examples: int = 3) -> torch.Tensor:
    features = len(made.feature_table_map)
    return made(
        indices=torch.zeros(0, dtype=torch.int64), offsets=torch.zeros(features * examples + 1, dtype=torch.int64)
    )


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(("pooling", "shape"), [(PoolingMode.SUM, (3, 24)), (PoolingMode.NONE, (0, 8))])
@pytest.mark.filterwarnings("ignore")
def test_no_rows_give_zeros_that_take_a_gradient(pooling, shape, optimizer):
    made = group(pooling, optimizer, 0, 0)
    out = looked_up(made)
    assert out.shape == shape and out.requires_grad and not out.any()
    out.sum().backward()
    assert [weights.shape for weights in made.split_embedding_weights()] == [(0, 8), (0, 8)]


@pytest.mark.filterwarnings("ignore")
def test_a_group_with_rows_is_looked_up_as_ever():
    made = group(PoolingMode.SUM, EmbOptimType.EXACT_SGD, 0, 4)
    assert "forward" not in vars(made) and looked_up(made).shape == (3, 24)
