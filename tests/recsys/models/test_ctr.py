"""The whole model, unsharded, against a plain loop over examples and the tables' weights."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from embeddings.frozen.table import FrozenTable
from embeddings.kernels.pairs import pairs
from recsys.features.frozen_stores import open_stores
from recsys.models.arch_config import arch_config
from recsys.models.ctr import CTRModel
from recsys.models.make import MAKE
from recsys.models.sparse import table_configs
from recsys.schema import Schema
from tests.train import tiny
from train.data.reader import RowReader

DIM = 4
MODES = ["none", "vector", "simscore", "simtier"]


def schema(pooling: str = "mean") -> Schema:
    raw = tiny.SCHEMA.model_dump()
    next(f for f in raw["features"] if f["name"] == "tags")["pooling"] = pooling
    return Schema.model_validate(raw)


def model_and_batch(data: Path, schema: Schema, **settings):
    """The model with random tables on CPU, the first batch, and the raw rows of it."""
    torch.manual_seed(0)
    config = arch_config({"embedding_dim": DIM} | (settings if "arch" in settings else {"over_arch": [6]} | settings))
    stores = open_stores(schema, config, str(data))
    frozen = {name: FrozenTable(store) for name, store in stores.items()}
    model = CTRModel(schema, config, table_configs(schema, DIM, {}), frozen)
    model.sparse.to_empty(device="cpu")
    for weight in model.sparse.parameters():
        torch.nn.init.normal_(weight)
    batch = next(RowReader(str(data), "train", schema, stores, batch_size=32).epoch(0))
    rows = pq.read_table(data / "train" / "part-0.parquet").slice(0, 32).to_pylist()
    return model, batch, rows, frozen


def naive_logit(model: CTRModel, row: dict, pooling: str, mode: str, frozen) -> torch.Tensor:
    """One row's logit from the tables' weights; attention and MLP, tested elsewhere, are called on one example."""
    weights = {n.split(".")[-2]: p for n, p in model.sparse.named_parameters()}
    arch = model.dense.arch
    bag = [weights["tag"][t % 16] for t in row["tags"]]
    total = sum(bag, torch.zeros(DIM))
    pooled = [weights["user"][row["user"]], total / max(len(bag), 1) if pooling == "mean" else total]
    target, history = weights["item"][row["item"]], row["history"][-6:]
    behaviours = torch.stack([weights["item"][i] for i in history]) if history else torch.zeros(0, DIM)
    query, extra = target, []
    if mode != "none":
        unit = {i: frozen["text"].table[i] for i in range(tiny.ITEMS)}
        cosines = torch.tensor([float(unit[row["item"]] @ unit[i]) for i in history])
        if mode == "simscore":
            behaviours = torch.cat([behaviours, cosines[:, None]], dim=1)
            query = torch.cat([query, torch.ones(1)])
        if mode == "vector":
            mean = torch.stack([unit[i] for i in history]).mean(0) if history else torch.zeros(tiny.WIDTH)
            extra = [unit[row["item"]], mean]
        if mode == "simtier":
            tiers = ((cosines + 1) * 10).long().clamp(max=19)
            extra = [torch.bincount(tiers, minlength=20).float().log1p()]
    attended = arch.attention["history"](query[None], behaviours, torch.tensor([len(history)]))[0]
    features = [torch.tensor([row["price"]]), *pooled, target, attended, *extra]
    return arch.over(torch.cat(features)[None])[0]


@pytest.mark.parametrize(("pooling", "mode"), [("mean", m) for m in MODES] + [("sum", "none")])
def test_equals_a_loop_over_rows(data, pooling, mode):
    model, batch, rows, frozen = model_and_batch(data, schema(pooling), multimodal={"mode": mode})
    loss, (again, logits, labels) = model(batch)
    wanted = torch.stack([naive_logit(model, row, pooling, mode, frozen) for row in rows])
    torch.testing.assert_close(logits, wanted.detach(), rtol=1e-4, atol=1e-5)
    assert any(not row["history"] for row in rows) and any(not row["tags"] for row in rows)
    p = torch.sigmoid(wanted.double())
    y = torch.tensor([row["label"] for row in rows]).double()
    entropy = -(y * p.log() + (1 - y) * (1 - p).log()).mean()
    assert loss.item() == pytest.approx(entropy.item(), rel=1e-5) and torch.equal(again, loss.detach())
    assert labels.tolist() == y.tolist() and loss.requires_grad and not logits.requires_grad


@pytest.mark.parametrize("sa_ta", [False, True])
@pytest.mark.parametrize("mode", [*MODES, "make", "simtier+make"])
def test_frozen_vectors_are_in_no_parameters_buffers_or_state(data, mode, sa_ta):
    model, batch, _, frozen = model_and_batch(data, tiny.SCHEMA, multimodal={"mode": mode, "sa_ta": sa_ta})
    held = [*model.parameters(), *model.buffers(), *model.state_dict().values()]
    vectors = {t.table.data_ptr() for t in frozen.values()}
    assert not vectors & {t.data_ptr() for t in held} and not any(t.shape == (tiny.ITEMS, tiny.WIDTH) for t in held)
    before = [t.table.clone() for t in frozen.values()]
    loss, _ = model(batch)
    loss.backward()
    assert all(torch.equal(a, t.table) for a, t in zip(before, frozen.values(), strict=True))
    assert all(p.grad is not None for p in model.parameters())


def test_dcn_and_bfloat16_compute(data):
    model, batch, _, _ = model_and_batch(data, tiny.SCHEMA, interaction="dcn", cross_rank=3)
    exact = model(batch)[1][1]
    model.dense.autocast = torch.bfloat16
    loss, (_, logits, _) = model(batch)
    loss.backward()
    assert logits.dtype == torch.float32 and not torch.equal(exact, logits)
    torch.testing.assert_close(logits, exact, rtol=0.1, atol=0.1)


def test_without_pooled_features_or_sequences(data):
    raw = tiny.SCHEMA.model_dump() | {"modalities": {}}
    only_ids = raw | {
        "features": [f for f in raw["features"] if f["name"] in ("user", "item")],
        "tables": {k: raw["tables"][k] for k in ("user", "item")},
    }
    model, batch, _, _ = model_and_batch(data, Schema.model_validate(only_ids))
    assert model.sparse.sequences is None and batch.sequence is None
    assert model(batch)[1][1].shape == (32,)
    raw["features"] = [f for f in raw["features"] if f["name"] in ("item", "history")]
    raw["tables"] = {"item": raw["tables"]["item"]}
    model, batch, _, _ = model_and_batch(data, Schema.model_validate(raw))
    assert model.sparse.bags is None and batch.pooled is None
    assert np.isfinite(model(batch)[0].item())


def test_what_make_adds_lies_beside_the_tiers(data):
    """The final MLP sees the ID features, the tiers, then v_MAKE, all its activations and its logit."""
    settings = {"mode": "simtier+make", "num_tiers": 5, "make": {"attention_hidden": 3, "hidden": [6, 4, 2]}}
    model, batch, _, frozen = model_and_batch(data, tiny.SCHEMA, multimodal=settings)
    seen = []
    model.dense.arch.interaction.register_forward_hook(lambda module, inputs, out: seen.append(out))
    model(batch)
    tiers = frozen["text"].tier_counts(batch.frozen["text"], 5).log1p()
    extractor = next(m for m in model.modules() if isinstance(m, MAKE))
    pooled, activations, logit = extractor(batch.frozen["text"])
    wanted = torch.cat([tiers, pooled, *activations, logit], dim=1)
    assert wanted.shape[1] == 5 + tiny.WIDTH + 6 + 4 + 2 + 1
    torch.testing.assert_close(seen[0][:, -wanted.shape[1] :], wanted)


def test_semantic_attention_takes_the_cosines_of_the_vectors(data):
    """With gamma (0, 1, 0) the history is the sum of its ID embeddings, each weighted by its cosine to the target."""
    model, batch, rows, frozen = model_and_batch(data, tiny.SCHEMA, multimodal={"mode": "none", "sa_ta": True})
    attention = model.dense.arch.attention["history"]
    with torch.no_grad():
        attention.gamma.copy_(torch.tensor([0.0, 1.0, 0.0]))
    seen = []
    attention.register_forward_hook(lambda module, inputs, out: seen.append(out))
    model(batch)
    weights = {n.split(".")[-2]: p for n, p in model.sparse.named_parameters()}
    unit = frozen["text"].table
    for row, pooled in zip(rows, seen[0], strict=True):
        parts = [(unit[row["item"]] @ unit[i]) * weights["item"][i] for i in row["history"][-6:]]
        torch.testing.assert_close(pooled, sum(parts, torch.zeros(DIM)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["simtier", "simtier+make"])
def test_one_pass_for_tiers_and_cosines_leaves_the_losses_as_they_are(data, mode, monkeypatch):
    """Three steps, against vectors that are gathered and multiplied apart from SimTier's pass."""

    def two_passes(table, rows, num_tiers):
        target_of, history = pairs(rows.target.numel(), rows.history, rows.offsets, rows.bag_index)
        products = table.gather(rows.target)[target_of] * table.gather(history)
        return table.tier_counts(rows, num_tiers), products.sum(1, keepdim=True)

    def losses() -> list[float]:
        model, batch, _, _ = model_and_batch(data, tiny.SCHEMA, multimodal={"mode": mode, "sa_ta": True})
        with torch.no_grad():
            model.dense.arch.attention["history"].gamma.copy_(torch.tensor([1.0, 0.7, -0.4]))
        optimizer, step_losses = torch.optim.Adam(model.parameters(), 0.05), []
        for _ in range(3):
            loss, _ = model(batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step_losses.append(loss.item())
        return step_losses

    fused = losses()
    monkeypatch.setattr(FrozenTable, "tier_counts_and_cosines", two_passes)
    assert fused == pytest.approx(losses(), rel=2e-6) and fused[0] != fused[2]


@pytest.mark.parametrize("arch", [{"arch": "make", "modality": "text"}, {}], ids=str)
def test_behaviours_are_dropped_before_ranks_are_asked_for_them(data, arch) -> None:
    """Only where MAKE is trained by itself."""
    make = {"mode": "make", "make": {"behaviour_dropout": 0.5}}
    model, batch, *_ = model_and_batch(data, schema(), multimodal=make, **arch)
    asked: list[torch.Tensor] = []

    class Table:
        """Stands for a table whose rows lie on all ranks."""

        def start(self, rows):
            asked.append(rows.history)
            return self

        def advance(self):
            pass

    model.exchanges.tables = {"text": Table()}
    history = batch.frozen["text"].history.clone()
    dropped, whole = (model.train(training)(batch)[1][1] for training in (True, False))
    assert torch.equal(asked[1], history) and torch.equal(batch.frozen["text"].history, history)
    assert (not torch.equal(asked[0], history)) == (not torch.equal(dropped, whole)) == bool(arch)
    batch.frozen["text"].history = asked[0]
    assert torch.equal(model.eval()(batch)[1][1], dropped)
