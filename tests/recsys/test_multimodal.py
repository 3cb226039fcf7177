"""What each multimodal mode adds, against plain loops over behaviours."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from embeddings.frozen.store import build_store
from embeddings.frozen.table import FrozenTable
from recsys.batch import FrozenRows
from recsys.config import MultimodalConfig
from recsys.multimodal import SimilarityScores, multimodal_features

COUNT, WIDTH, TIERS = 30, 4, 7
TARGETS, BAGS = [3, -1, 5, 7, 0], [[1, -1, 4], [2, 3], [], [-1, -1], [9]]
ROWS = FrozenRows(
    torch.tensor(TARGETS),
    torch.tensor([row for bag in BAGS for row in bag]),
    torch.tensor(np.cumsum([0, *map(len, BAGS)])),
)


@pytest.fixture(scope="module", params=["float32", "float16", "int8"])
def table(request, tmp_path_factory) -> FrozenTable:
    vectors = np.random.default_rng(0).normal(size=(COUNT, WIDTH))
    path = tmp_path_factory.mktemp("store") / request.param
    return FrozenTable(build_store(str(path), np.arange(COUNT), vectors, dtype=request.param))


# The same bags, but the second for the third impression too, and the first bag belongs to the last impression.
SHARED = FrozenRows(ROWS.target, ROWS.history, ROWS.offsets, torch.tensor([4, 1, 1, 3, 0]))
SHARED_BAGS = [BAGS[u] for u in (4, 1, 1, 3, 0)]


@pytest.fixture(params=["own", "shared"])
def bags(request) -> tuple[FrozenRows, list[list[int]]]:
    """Rows as the model gets them, and each impression's behaviours."""
    return {"own": (ROWS, BAGS), "shared": (SHARED, SHARED_BAGS)}[request.param]


def vector(table: FrozenTable, row: int) -> np.ndarray:
    """The unit vector of one row, in plain numpy."""
    if row < 0:
        return np.zeros(WIDTH)
    scale = 1.0 if table.scale is None else float(table.scale[row])
    return table.table[row].double().numpy() * scale


def test_vector_is_the_target_beside_the_mean_of_known_behaviours(table, bags):
    rows, bags = bags
    module = multimodal_features(table, MultimodalConfig(mode="vector"))
    found = module(rows)
    assert found.shape == (5, module.width) and found.dtype == torch.float32
    for row, target, bag in zip(found.numpy(), TARGETS, bags, strict=True):
        known = [vector(table, b) for b in bag if b >= 0]
        mean = np.mean(known, axis=0) if known else np.zeros(WIDTH)
        np.testing.assert_allclose(row, np.concatenate([vector(table, target), mean]), atol=1e-6)


def test_simtier_is_the_log_of_counts_a_tier(table, bags):
    rows, bags = bags
    module = multimodal_features(table, MultimodalConfig(mode="simtier", num_tiers=TIERS))
    found = module(rows)
    assert found.shape == (5, TIERS) and module.width == TIERS
    for row, target, bag in zip(found.numpy(), TARGETS, bags, strict=True):
        counts = [0] * TIERS
        for b in bag if target >= 0 else []:
            if b >= 0:
                similarity = float(vector(table, target) @ vector(table, b))
                counts[min(int((similarity + 1) * TIERS / 2), TIERS - 1)] += 1
        np.testing.assert_allclose(row, [math.log(1 + c) for c in counts], atol=1e-6)


def test_simscore_is_the_cosine_of_each_behaviour(table, bags):
    rows, bags = bags
    found = SimilarityScores(table)(rows)
    wanted = [vector(table, t) @ vector(table, b) for t, bag in zip(TARGETS, bags, strict=True) for b in bag]
    assert found.shape == (len(wanted), 1)
    np.testing.assert_allclose(found[:, 0].numpy(), wanted, atol=1e-6)
    known = [t >= 0 and b >= 0 for t, bag in zip(TARGETS, bags, strict=True) for b in bag]
    assert (found[~torch.tensor(known)] == 0).all()


@pytest.mark.parametrize("mode", ["none", "simscore"])
def test_other_modes_add_no_features_of_their_own(table, mode):
    assert multimodal_features(table, MultimodalConfig(mode=mode)) is None


def test_no_bag_at_all(table):
    empty = FrozenRows(*(torch.zeros(n, dtype=torch.int64) for n in (0, 0, 1)))
    for mode in ("vector", "simtier"):
        module = multimodal_features(table, MultimodalConfig(mode=mode))
        assert module(empty).shape == (0, module.width)
    assert SimilarityScores(table)(empty).shape == (0, 1)


def test_frozen_vectors_belong_to_no_module(table):
    modules: list[nn.Module] = [SimilarityScores(table)]
    modules += [multimodal_features(table, MultimodalConfig(mode=mode)) for mode in ("vector", "simtier")]
    for module in modules:
        assert not list(module.parameters()) and not list(module.buffers()) and not module.state_dict()
        assert not any(out.requires_grad for out in [module(ROWS)])
