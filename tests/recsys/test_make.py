"""MAKE's attention as a module, against DIN's formula written out, and in training."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from embeddings.frozen.store import build_store
from embeddings.frozen.table import FrozenTable
from recsys.batch import FrozenRows
from recsys.make import MAKEAttention
from tests.train import launch

ROWS = FrozenRows(
    torch.tensor([3, -1, 5, 7, 0]),
    torch.tensor([1, -1, 4, 2, 3, -1, -1, 9]),
    torch.tensor([0, 3, 5, 5, 7, 8]),
    torch.tensor([0, 1, 1, 3, 4]),
)


def make_table(tmp_path) -> FrozenTable:
    vectors = np.random.default_rng(0).normal(size=(30, 6))
    return FrozenTable(build_store(str(tmp_path / "store"), np.arange(30), vectors, dtype="float32"))


def test_it_is_dins_attention_over_frozen_vectors(tmp_path) -> None:
    torch.manual_seed(0)
    table = make_table(tmp_path)
    module = MAKEAttention(table, hidden=5)
    found = module(ROWS)
    assert found.shape == (5, module.width) and found.dtype == torch.float32
    for row, target, bag in zip(found, [3, -1, 5, 7, 0], [[1, 4], [], [2, 3], [], [9]], strict=True):
        wanted = torch.zeros(6)
        for behaviour in bag:
            q, k = table.table[target], table.table[behaviour]
            pair = torch.cat([q, k, q - k, q * k]).unsqueeze(0)
            hidden = functional.prelu(functional.linear(pair, module.weight, module.bias), module.slope)
            wanted = wanted + (hidden @ module.score) * k
        torch.testing.assert_close(row, wanted, rtol=1e-5, atol=1e-6)


def test_it_learns_and_the_table_stays(tmp_path) -> None:
    torch.manual_seed(0)
    table = make_table(tmp_path)
    before = table.table.clone()
    module = MAKEAttention(table, hidden=8)
    assert {name for name, _ in module.named_parameters()} == {"weight", "bias", "slope", "score"}
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    wanted = functional.normalize(torch.randn(5, 6), dim=1) * torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0]).unsqueeze(1)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = functional.mse_loss(module(ROWS), wanted)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert torch.equal(table.table, before)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("ranks", [2, 4])
def test_it_learns_the_same_over_ranks_whatever_the_table(tmp_path, ranks: int, dtype: str) -> None:
    """Under DistributedDataParallel, rows over the ranks against a whole table on each."""
    vectors = np.random.default_rng(0).normal(size=(45, 12))
    store, out = tmp_path / "store", tmp_path / "out.json"
    build_store(str(store), np.arange(45), vectors, dtype=dtype)
    done = launch.finished(launch.start_launched_ranks(ranks, store, out, module="tests.recsys.make_worker"))
    assert done.status == 0, done.err[-8000:]
    apart = json.loads(out.read_text())
    assert apart["moved"] > 1e-3
    assert max(apart["result"], apart["gradient"], apart["parameter"]) < 2e-5, apart
