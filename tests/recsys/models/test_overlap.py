"""Frozen rows over ranks travel while IDs are looked up, and are back before the IDs' vectors are waited for."""

from pathlib import Path

import pytest
import torch

import embeddings.frozen.row_wise_exchange as exchange
import embeddings.frozen.row_wise_table as row_wise
import recsys.models.din
from embeddings.frozen.row_wise_table import RowWiseTable
from embeddings.frozen.table import FrozenTable
from recsys.batch import Batch
from recsys.features.frozen_stores import open_stores
from recsys.models.ctr import CTRModel
from recsys.models.din_config import DINConfig
from recsys.models.sparse import table_configs
from tests.embeddings.frozen.ranks import on_ranks
from tests.train import tiny
from train.data.reader import RowReader


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What begins, as it begins."""
    events: list[str] = []

    def noted(module: object, name: str, word: str) -> None:
        function = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a: (events.append(word), function(*a))[1])

    noted(exchange, "all_to_all", "rows")  # sizes, then rows
    noted(exchange, "to_all", "vectors")
    noted(row_wise, "summed", "results")
    noted(recsys.models.din, "pooled_embeddings", "wait for IDs")
    return events


def test_the_exchange_surrounds_the_lookup_of_ids(tmp_path: Path, order: list[str]) -> None:
    data = tiny.make_data(tmp_path / "data")
    config = DINConfig(embedding_dim=4, over_arch=[6])
    store = open_stores(tiny.SCHEMA, config, str(data))["text"]

    def batch() -> Batch:
        return next(RowReader(str(data), "train", tiny.SCHEMA, {"text": store}, batch_size=32).epoch(0))

    def model(table: FrozenTable | RowWiseTable) -> CTRModel:
        torch.manual_seed(0)
        ctr = CTRModel(tiny.SCHEMA, config, table_configs(tiny.SCHEMA, 4, {}), {"text": table})
        ctr.sparse.to_empty(device="cpu")
        for weight in ctr.sparse.parameters():
            torch.nn.init.normal_(weight)
        ctr.sparse.register_forward_pre_hook(lambda *_: order.append("look up IDs"))
        return ctr

    def losses(rank: int, group) -> float:
        return model(RowWiseTable(store, group, room=64))(batch())[0].item()

    (spread,) = on_ranks(1, losses)
    assert order == ["rows", "rows", "look up IDs", "vectors", "results", "wait for IDs"]
    assert spread == model(FrozenTable(store))(batch())[0].item()
