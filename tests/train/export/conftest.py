"""A data folder in which some rows of each table are never trained, and a small run of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recsys.schema import Schema, save_schema
from tests.train import tiny
from tests.train.launch import cli

MODEL = "{embedding_dim: 4, over_arch: [8], multimodal: {mode: simtier, num_tiers: 4}}"


@pytest.fixture(scope="session")
def sparse_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tiny``'s, but users are even, items of the training rows below 50, and table tag has 100 rows."""
    folder = tiny.make_data(tmp_path_factory.mktemp("sparse") / "data", train_rows=192)
    raw = tiny.SCHEMA.model_dump()
    raw["tables"]["tag"]["num_embeddings"] = 100
    save_schema(Schema.model_validate(raw), str(folder))
    table = tiny.rows(192, 0)
    changed = {
        "user": pa.array(table["user"].to_numpy() // 2 * 2),
        "item": pa.array(table["item"].to_numpy() % 50),
        "history": pa.array([[i % 50 for i in items] for items in table["history"].to_pylist()], pa.list_(pa.int64())),
    }
    for name, column in changed.items():
        table = table.set_column(table.column_names.index(name), name, column)
    tiny.write_split(folder, "train", table)
    assert np.unique(table["user"].to_numpy()).size > 10
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, sparse_data: Path) -> Callable[..., Path]:
    """Trains a run of that data once for each set of overrides; returns its folder, which no test changes."""
    root = tmp_path_factory.mktemp("exports")
    (root / "run.yaml").write_text(
        f"data: {{path: {sparse_data}, batch_size: 32, eval_batch_size: 64}}\nmodel: {MODEL}\n"
        "train: {epochs: 2, warmup_steps: 2, select: auc, keep: 4}\n"
        f"process: {{device: cpu, threads: 1}}\nrun: {{root: {root / 'runs'}}}\n"
    )
    there: dict[tuple[str, ...], Path] = {}

    def train(*overrides: str, command: str = "ctr") -> Path:
        key = (command, *overrides)
        if key not in there:
            name = f"{command}{len(there)}"
            done = cli(command, "--config", root / "run.yaml", f"run.name={name}", *overrides)
            assert done.status == 0, done.err
            there[key] = root / "runs" / name
        return there[key]

    return train
