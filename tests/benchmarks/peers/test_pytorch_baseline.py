"""The PyTorch baseline is the CTR model: same weights, same logits; and its optimizer is the tables' own."""

from pathlib import Path

import pytest
import torch

from benchmarks.peers.pytorch_baseline import LAYOUTS, PaddedRows, PyTorchBaseline, RowWiseAdagrad, measure
from embeddings.frozen.table import FrozenTable
from recsys.features.frozen_stores import open_stores
from recsys.models.ctr import CTRModel
from recsys.models.din_config import DINConfig
from recsys.models.sparse import table_configs
from recsys.schema import load_schema
from tests.train.tiny import make_data
from train.ctr.config import Config, DataConfig
from train.data.reader import RowReader


def settings(folder: Path, mode: str) -> Config:
    return Config(data=DataConfig(path=str(folder)), model=DINConfig(multimodal={"mode": mode}))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return make_data(tmp_path_factory.mktemp("baseline") / "data")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mode", ["none", "simtier"])
def test_baseline_and_model_give_the_same_logits_for_the_same_weights(data: Path, layout: str, mode: str):
    config, schema = settings(data, mode), load_schema(str(data))
    stores = open_stores(schema, config.model, str(data))
    frozen = {name: FrozenTable(store) for name, store in stores.items()}
    torch.manual_seed(0)
    model = CTRModel(schema, config.model, table_configs(schema, config.model.embedding_dim, {}), frozen)
    model.sparse.to_empty(device="cpu")
    baseline = PyTorchBaseline(schema, config, frozen, layout, sparse=True)
    for name, weight in model.sparse.named_parameters():
        torch.nn.init.normal_(weight)
        baseline.tables[name.split(".")[-2]].data[:-1] = weight.data
    arch = model.dense.arch
    for weight in arch.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    baseline.attention.load_state_dict(arch.attention.state_dict())
    baseline.over.load_state_dict(arch.over.state_dict())
    batch = next(RowReader(str(data), "train", schema, stores, batch_size=300).epoch(0))
    _, (_, logits, _) = model(batch)
    baseline_logits = baseline(PaddedRows.of(schema, batch))
    assert logits.std() > 0.1
    torch.testing.assert_close(baseline_logits, logits, atol=3e-4, rtol=1e-3)


def test_row_wise_adagrad_is_its_formula():
    torch.manual_seed(1)
    weight = torch.nn.Parameter(torch.randn(5, 4))
    expected, state = weight.detach().clone().double(), torch.zeros(5, dtype=torch.float64)
    optimizer = RowWiseAdagrad([weight], lr=0.1, eps=1e-8)
    for _ in range(3):
        ids, upstream = torch.tensor([1, 3, 1]), torch.randn(3, 4)
        optimizer.zero_grad()
        (torch.nn.functional.embedding(ids, weight, sparse=True) * upstream).sum().backward()
        optimizer.step()
        gradient = torch.zeros(5, 4, dtype=torch.float64).index_add_(0, ids, upstream.double())
        state += gradient.square().mean(1)
        expected -= 0.1 * gradient / (state.sqrt() + 1e-8).unsqueeze(1)
    torch.testing.assert_close(weight.detach().double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("variant", [("padded", "sparse"), ("jagged", "dense")])
def test_every_way_to_write_it_trains(data: Path, variant: tuple[str, str]):
    speeds = measure(settings(data, "simtier"), [variant], batch_size=128, threads=1, steps=2, window=1)
    assert list(speeds) == ["-".join(variant)] and all(speed > 0 for speed in speeds.values())
