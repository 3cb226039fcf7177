"""What each multimodal mode adds, against plain loops over behaviours."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from embeddings.frozen.store import build_store
from embeddings.frozen.table import FrozenTable
from recsys.batch import FrozenRows
from recsys.models.config import MultimodalConfig
from recsys.models.multimodal import modality_features

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


def features(module: nn.Module, rows: FrozenRows) -> torch.Tensor:
    """The parts' features side by side, of a module that gives no cosines."""
    parts, cosines = module(rows)
    assert cosines is None
    return torch.cat(parts, dim=1)


def test_vector_is_the_target_beside_the_mean_of_known_behaviours(table, bags):
    rows, bags = bags
    module = modality_features("text", table, MultimodalConfig(mode="vector"))
    output = features(module, rows)
    assert output.shape == (5, module.width) and output.dtype == torch.float32
    for row, target, bag in zip(output.numpy(), TARGETS, bags, strict=True):
        known = [vector(table, b) for b in bag if b >= 0]
        mean = np.mean(known, axis=0) if known else np.zeros(WIDTH)
        np.testing.assert_allclose(row, np.concatenate([vector(table, target), mean]), atol=1e-6)


def test_simtier_is_the_log_of_counts_a_tier(table, bags):
    rows, bags = bags
    module = modality_features("text", table, MultimodalConfig(mode="simtier", num_tiers=TIERS))
    output = features(module, rows)
    assert output.shape == (5, TIERS) and module.width == TIERS
    for row, target, bag in zip(output.numpy(), TARGETS, bags, strict=True):
        counts = [0] * TIERS
        for b in bag if target >= 0 else []:
            if b >= 0:
                similarity = float(vector(table, target) @ vector(table, b))
                counts[min(int((similarity + 1) * TIERS / 2), TIERS - 1)] += 1
        np.testing.assert_allclose(row, [math.log(1 + c) for c in counts], atol=1e-6)


def test_simscore_is_the_cosine_of_each_behaviour(table, bags):
    rows, bags = bags
    cosines = table.cosines(rows)
    wanted = [vector(table, t) @ vector(table, b) for t, bag in zip(TARGETS, bags, strict=True) for b in bag]
    assert cosines.shape == (len(wanted), 1)
    np.testing.assert_allclose(cosines[:, 0].numpy(), wanted, atol=1e-6)
    known = [t >= 0 and b >= 0 for t, bag in zip(TARGETS, bags, strict=True) for b in bag]
    assert (cosines[~torch.tensor(known)] == 0).all()


def test_no_mode_is_no_module(table):
    assert modality_features("text", table, MultimodalConfig(mode="none")) is None


@pytest.mark.parametrize("config", [{"mode": "simscore"}, {"mode": "none", "sa_ta": True}], ids=str)
def test_cosines_alone_add_no_features_of_their_own(table, bags, config):
    module = modality_features("text", table, MultimodalConfig(**config))
    assert module.width == 0 and module(bags[0])[0] == []
    assert torch.equal(module(bags[0])[1], table.cosines(bags[0]))


@pytest.mark.parametrize("mode", ["simtier", "simtier+make"])
def test_tiers_and_cosines_come_of_one_pass(table, bags, mode, monkeypatch):
    rows, _ = bags
    simtier = modality_features("text", table, MultimodalConfig(mode="simtier", num_tiers=TIERS))
    tiers, cosines = features(simtier, rows), table.cosines(rows)
    module = modality_features("text", table, MultimodalConfig(mode=mode, num_tiers=TIERS, sa_ta=True))
    passes = []
    both = FrozenTable.tier_counts_and_cosines
    monkeypatch.setattr(FrozenTable, "tier_counts_and_cosines", lambda *a: passes.append(a) or both(*a))
    monkeypatch.setattr(FrozenTable, "tier_counts", lambda *a: passes.append(a))
    parts, scores = module(rows)
    assert len(passes) == 1 and len(parts) == mode.count("+") + 1
    assert torch.equal(parts[0], tiers) and torch.equal(scores, cosines)


@pytest.mark.parametrize(
    ("config", "needed"),
    [
        ({"mode": "vector"}, "mode vector needs the vectors themselves"),
        ({"mode": "vector", "sa_ta": True}, "mode vector needs the vectors themselves"),
        ({"mode": "simscore"}, "mode simscore needs the cosine of each behaviour"),
        ({"mode": "simtier", "sa_ta": True}, "sa_ta needs the cosine of each behaviour"),
    ],
)
def test_rows_over_ranks_give_sums_alone(config, needed):
    with pytest.raises(ValueError, match=f"{needed}, which placement row_wise never sends; allowed with it: simtier"):
        MultimodalConfig(placement="row_wise", **config)
    assert MultimodalConfig(placement="host", **config).per_behaviour
    assert not MultimodalConfig(placement="row_wise", mode="simtier+make").per_behaviour


def test_no_bag_at_all(table):
    empty = FrozenRows(*(torch.zeros(n, dtype=torch.int64) for n in (0, 0, 1)))
    for mode in ("vector", "simtier"):
        module = modality_features("text", table, MultimodalConfig(mode=mode))
        assert features(module, empty).shape == (0, module.width)
    assert table.cosines(empty).shape == (0, 1)


def test_frozen_vectors_belong_to_no_module(table):
    modules: list[nn.Module] = []
    modules += [modality_features("text", table, MultimodalConfig(mode=mode)) for mode in ("vector", "simtier")]
    for module in modules:
        assert not list(module.parameters()) and not list(module.buffers()) and not module.state_dict()
        output = module(ROWS)
        assert not any(out.requires_grad for out in (output[0] if isinstance(output, tuple) else [output]))
