"""An experiment on a config of its own."""

from pathlib import Path

import pytest

from benchmarks.paper.experiments import Experiment

CONFIG = "data: {path: somewhere, batch_size: 256}\ntrain: {patience: 1}\n"


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    (tmp_path / "shop.yaml").write_text(CONFIG)
    config = str(tmp_path / "shop.yaml")
    return Experiment(name="shop", config=config, batch_size=256, root=str(tmp_path / "runs"), seeds=2, epochs=4)
