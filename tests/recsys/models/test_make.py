"""MAKE's attention as a module, against DIN's formula written out, and in training."""

import json

import numpy as np
import pytest
import torch
from torch.nn import functional

from embeddings.frozen.store import build_store
from embeddings.frozen.table import FrozenTable
from recsys.batch import FrozenRows
from recsys.models.config import MAKEConfig
from recsys.models.make import MAKE, MAKEAttention, MAKEFeatures, drop_behaviours
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
    output = module(ROWS)
    assert output.shape == (5, module.width) and output.dtype == torch.float32
    for row, target, bag in zip(output, [3, -1, 5, 7, 0], [[1, 4], [], [2, 3], [], [9]], strict=True):
        wanted = torch.zeros(6)
        for behaviour in bag:
            q, k = table.table[target], table.table[behaviour]
            pair = torch.cat([6**0.5 * torch.cat([q, k, q - k]), 6 * q * k]).unsqueeze(0)
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
    done = launch.finished(launch.start_launched_ranks(ranks, store, out, module="tests.recsys.models.make_worker"))
    assert done.status == 0, done.err[-8000:]
    apart = json.loads(out.read_text())
    assert apart["moved"] > 1e-3
    assert max(apart["result"], apart["gradient"], apart["parameter"]) < 2e-5, apart


def by_hand(module: MAKE, table: FrozenTable) -> tuple[torch.Tensor, torch.Tensor]:
    """v_MAKE, activations and logit of ROWS in plain torch, one impression at a time; and the logits alone."""
    weights = {name: p for name, p in module.named_parameters()}
    impressions = []
    for target, bag in zip([3, -1, 5, 7, 0], [[1, 4], [], [2, 3], [], [9]], strict=True):
        q = table.table[target] if target >= 0 else torch.zeros(6)
        pooled = torch.zeros(6)
        for behaviour in bag:
            k = table.table[behaviour]
            # unit vectors have numbers of size 1 / sqrt(M), their products of size 1 / M
            pair = torch.cat([6**0.5 * torch.cat([q, k, q - k]), 6 * q * k])
            h = weights["attention.weight"] @ pair + weights["attention.bias"]
            h = torch.where(h > 0, h, weights["attention.slope"] * h)
            pooled = pooled + (h @ weights["attention.score"]) * k * 6**0.5
        q = q * 6**0.5
        flow = torch.cat([pooled, q, pooled * q])
        activations = []
        for i in range(3):
            flow = weights[f"layers.{i}.weight"] @ flow + weights[f"layers.{i}.bias"]
            flow = flow * torch.sigmoid(flow)
            activations.append(flow)
        logit = weights["logit.weight"] @ flow + weights["logit.bias"]
        impressions.append(torch.cat([pooled, *activations, logit]))
    features = torch.stack(impressions)
    return features, features[:, -1]


CONFIG = MAKEConfig(attention_hidden=5, hidden=[7, 4, 3])


def test_make_is_din_and_a_four_layer_mlp(tmp_path) -> None:
    torch.manual_seed(0)
    table = make_table(tmp_path)
    joined = MAKEFeatures(table, CONFIG)
    features, logits = by_hand(joined.make, table)
    output = joined(ROWS)
    assert output.shape == (5, joined.width) and joined.width == 6 + 7 + 4 + 3 + 1
    torch.testing.assert_close(output, features, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(joined.make(ROWS)[2][:, 0], logits, rtol=1e-5, atol=1e-6)
    assert sum(isinstance(m, torch.nn.Linear) for m in joined.modules()) == 4
    assert joined.make.attention.weight.shape == (5, 4 * 6), "as wide as the config has it"


def test_gradients_of_make(tmp_path) -> None:
    torch.manual_seed(0)
    table = make_table(tmp_path)
    module = MAKEFeatures(table, CONFIG)
    upstream = torch.randn(5, module.width)
    ours = torch.autograd.grad((module(ROWS) * upstream).sum(), list(module.parameters()))
    theirs = torch.autograd.grad((by_hand(module.make, table)[0] * upstream).sum(), list(module.parameters()))
    for (name, _), a, b in zip(module.named_parameters(), ours, theirs, strict=True):
        assert b.abs().max() > 0, name
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5, msg=name)


def test_a_frozen_make_is_left_alone(tmp_path) -> None:
    table = make_table(tmp_path)
    module = MAKEFeatures(table, CONFIG.model_copy(update={"run": "runs/one", "frozen": True}))
    assert not any(p.requires_grad for p in module.parameters()) and not module(ROWS).requires_grad


def test_features_are_dropped_in_a_share_of_the_training_rows(tmp_path) -> None:
    torch.manual_seed(0)
    module = MAKEFeatures(make_table(tmp_path), CONFIG.model_copy(update={"modality_dropout": 0.3}))
    none = torch.empty(0, dtype=torch.int64)
    rows = FrozenRows(torch.arange(4000) % 30, none, torch.zeros(4001, dtype=torch.int64), None)
    whole = module.eval()(rows)
    assert bool((whole != 0).any(dim=1).all())
    module.train()
    for _ in range(2):
        features = module(rows)
        gone = (features == 0).all(dim=1)
        assert 0.27 < gone.float().mean() < 0.33
        torch.testing.assert_close(features[~gone], whole[~gone], rtol=0, atol=0)
    assert not torch.equal((module(rows) == 0).all(dim=1), gone), "drawn anew"


def split_mix(x: int) -> int:
    """SplitMix64's finaliser on Python's integers."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
    return x ^ (x >> 31)


def test_behaviours_are_dropped_where_the_hash_says_so() -> None:
    rows = FrozenRows(torch.tensor([7, -1]), torch.arange(40_000) % 30, torch.tensor([0, 5, 40_000]), None)
    before = torch.get_rng_state()
    histories = [drop_behaviours(rows, 0.3).history for _ in range(2)]
    torch.set_rng_state(before)
    for history in histories:
        key = int(torch.randint(2**62, ()))
        drawn = [split_mix((0x9E3779B97F4A7C15 * place + key) % 2**64) % 2**24 / 2**24 for place in range(1000)]
        assert [bool(r == -1) for r in history[:1000]] == [u < 0.3 for u in drawn]
        gone = history == -1
        assert 0.28 < gone.float().mean() < 0.32 and torch.equal(history[~gone], rows.history[~gone])
    assert not torch.equal(*histories), "drawn anew"
    once = drop_behaviours(rows, 0.3)
    assert once.target is rows.target and once.offsets is rows.offsets
    assert torch.equal(rows.history, torch.arange(40_000) % 30)


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"frozen": True}, "must have been trained"), ({"epoch": 3}, "of no run"),
     ({"run": "runs/one", "epoch": 0, "frozen": True}, "must have been trained")],
)  # fmt: skip
def test_settings_that_contradict_each_other(settings: dict, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        MAKEConfig.model_validate(settings)
