"""Tables, features and modalities may have names that torch.nn.ModuleDict has attributes of, such as items or type."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest

from recsys.schema import Schema, save_schema
from tests.train import launch, tiny

# A table, a sequence and a modality are called items; every other name but that of the plain table is torch's too.
SCHEMA = Schema.model_validate(
    {
        "target": "type",
        "tables": {
            "items": {"num_embeddings": tiny.ITEMS, "ids": "identity"},
            "values": {"num_embeddings": 16},
            "training": {"num_embeddings": tiny.USERS, "ids": "identity"},
            "plain": {"num_embeddings": tiny.USERS, "ids": "identity"},
        },
        "features": [
            {"name": "type", "column": "item", "kind": "id", "table": "items"},
            {"name": "items", "column": "history", "kind": "sequence", "table": "items", "target": "type"},
            {"name": "values", "column": "tags", "kind": "bag", "table": "values"},
            {"name": "training", "column": "user", "kind": "id", "table": "training"},
            {"name": "plain", "column": "user", "kind": "id", "table": "plain"},
            {"name": "forward", "column": "price", "kind": "dense"},
        ],
        "modalities": {"items": {"store": "frozen/text", "target": "type", "history": "items"}},
    }
)
SETTINGS = ["data.shuffle_rows=0", "model.dropout=0", "train.epochs=1"]
SETTINGS += ["model.modalities.items.mode=simtier+make", "model.modalities.items.sa_ta=true"]
TYPES = {"items": "row_wise", "values": "table_wise", "training": "data_parallel", "plain": "data_parallel"}
SETTINGS += [f"sharding.tables.{table}.sharding_types=[{kind}]" for table, kind in TYPES.items()]


def folder(path: Path, ranks: int) -> Path:
    """The tiny data under those names, its rows in an order that gives one rank the batches of two."""
    tiny.make_data(path, train_rows=256)
    if ranks == 1:
        tiny.write_split(path, "train", tiny.interleaved(tiny.rows(256, 0), 2, 16))
    save_schema(SCHEMA, str(path))
    return path


def losses(run: Path) -> list[float]:
    return [row["loss"] for row in launch.rows(run)]


def scored(run: Path, out: Path) -> np.ndarray:
    """Scores of the test split, which are those of the evaluation at the end of training."""
    for command in (["evaluate", run], ["predict", run, "--out", out]):
        done = launch.cli(*command)
        assert done.status == 0, done.err
    return pq.read_table(out)["score"].to_numpy()


def test_one_rank_trains_saves_resumes_evaluates_and_predicts(config: Callable[..., Path], tmp_path: Path) -> None:
    path, runs = config(folder(tmp_path / "data", 1)), tmp_path / "runs"
    for name, *more in (("whole",), ("cut", "train.max_steps=3"), ("cut", "run.resume=true")):
        done = launch.cli("ctr", "--config", path, *SETTINGS, f"run.name={name}", *more)
        assert done.status == 0, done.err
    assert len(losses(runs / "whole")) == 8 and losses(runs / "cut") == losses(runs / "whole")
    plan = json.loads((runs / "whole" / "plan.json").read_text())
    assert {name: table["sharding_type"] for name, table in plan["tables"].items()} == TYPES
    assert plan["frozen"].keys() == {"items"}
    assert np.array_equal(scored(runs / "whole", tmp_path / "a"), scored(runs / "cut", tmp_path / "b"))


def test_make_is_trained_alone_and_taken(config: Callable[..., Path], tmp_path: Path) -> None:
    path = config(folder(tmp_path / "data", 1))
    assert launch.cli("make", "--config", path, "train.max_steps=9", "run.name=makes").status == 0
    taken = f"model.modalities.items.make.run={tmp_path / 'runs' / 'makes'}"
    done = launch.cli("ctr", "--config", path, *SETTINGS, taken, "train.max_steps=2")
    assert done.status == 0, done.err


def test_they_train_as_tables_of_other_names(config: Callable[..., Path], tmp_path: Path, monkeypatch) -> None:
    """To the bit, where first weights do not follow the name."""
    monkeypatch.setattr("embeddings.initialise.zlib", SimpleNamespace(crc32=lambda name: 7))
    path = config(folder(tmp_path / "data", 1))
    losses_of = {}
    for prefix in ("", "my-"):
        tables = {f"{prefix}{name}": table for name, table in SCHEMA.tables.items()}
        features = [f.model_dump() for f in SCHEMA.features]
        for f in features:
            f |= {key: f"{prefix}{f[key]}" for key in ("name", "table", "target") if f[key]}
        modality = {"store": "frozen/text", "target": f"{prefix}type", "history": f"{prefix}items"}
        named = {"tables": tables, "features": features, "modalities": {f"{prefix}items": modality}}
        save_schema(Schema.model_validate({"target": f"{prefix}type", **named}), str(tmp_path / "data"))
        settings = [
            s.replace("tables.", f"tables.{prefix}").replace("modalities.", f"modalities.{prefix}") for s in SETTINGS
        ]
        done = launch.cli("ctr", "--config", path, *settings, f"run.name={prefix}run")
        assert done.status == 0, done.err
        losses_of[prefix] = losses(tmp_path / "runs" / f"{prefix}run")
    assert len(losses_of[""]) == 8 and losses_of[""] == losses_of["my-"]


@pytest.mark.slow
def test_two_ranks_learn_the_same(config: Callable[..., Path], tmp_path: Path) -> None:
    path = config(folder(tmp_path / "one", 1))
    done = launch.cli("ctr", "--config", path, *SETTINGS, "run.name=one")
    assert done.status == 0, done.err
    common = [*SETTINGS, f"data.path={folder(tmp_path / 'two', 2)}", "data.batch_size=16"]
    jobs = [("two",), ("cut", "train.max_steps=3"), ("cut", "run.resume=true")]
    (tmp_path / "jobs.json").write_text(
        json.dumps([{"config": str(path), "overrides": [*common, f"run.name={name}", *more]} for name, *more in jobs])
    )
    ranks = launch.start_launched_ranks(2, tmp_path / "jobs.json", module="tests.train.ctr.plans_worker")
    done = launch.finished(ranks)
    assert done.status == 0, done.err[-8000:]
    runs = tmp_path / "runs"
    assert losses(runs / "cut") == losses(runs / "two")
    np.testing.assert_allclose(losses(runs / "two"), losses(runs / "one"), rtol=3e-5)
    np.testing.assert_allclose(scored(runs / "two", tmp_path / "a"), scored(runs / "one", tmp_path / "b"), rtol=1e-3)
