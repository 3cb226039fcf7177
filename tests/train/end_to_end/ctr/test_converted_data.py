"""What prepare writes is what ctr reads: the converters' folders, trained with the configs that ship with them."""

from pathlib import Path

import numpy as np
import pytest

from recsys.datasets import movielens, taobao_mm
from tests.recsys.datasets.taobao import impression, write_shards
from tests.recsys.datasets.test_movielens import FORMATS, MOVIES
from tests.train.launch import ROOT, cli, rows
from train.ctr.config import load_config


def train(tmp_path: Path, config: str, *overrides: str) -> dict[str, int]:
    """Train on ``tmp_path``/data; rows evaluated, by split."""
    fixed = (f"data.path={tmp_path / 'data'}", f"run.root={tmp_path / 'runs'}", "process.threads=1", "train.epochs=1")
    done = cli("ctr", "--config", ROOT / "configs" / f"{config}.yaml", *fixed, *overrides)
    assert done.status == 0, done.err
    return {row["split"]: row["rows"] for row in rows(tmp_path / "runs" / config, "evaluation")}


@pytest.fixture
def taobao(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    shown = []
    for user in range(1, 31):
        items, categories = (rng.integers(0, high, size=40).tolist() for high in (90, 9))
        shown += [impression(user, int(rng.integers(1, 90)), bool(n % 3 == 0), items, categories) for n in range(6)]
    source = write_shards(tmp_path / "source", {"train": [shown[:100], shown[100:]], "test": [shown[:50]]})
    taobao_mm.prepare(source, str(tmp_path / "data"), taobao_mm.TaobaoConfig(validation=4))
    return tmp_path


@pytest.mark.parametrize("config", ["taobao-mm-muse", "taobao-mm-din"])
def test_taobao_mm_trains(taobao, config):
    evaluated = train(taobao, config, "data.batch_size=32", "model.multimodal.num_tiers=8")
    assert 0 < evaluated["validation"] < 180


def test_the_baseline_differs_in_the_mode_alone():
    muse, din = (load_config(str(ROOT / "configs" / f"taobao-mm-{name}.yaml")).model_dump() for name in ("muse", "din"))
    assert (muse["model"]["multimodal"].pop("mode"), din["model"]["multimodal"].pop("mode")) == ("simtier", "none")
    assert (muse["run"].pop("name"), din["run"].pop("name")) == ("taobao-mm-muse", "taobao-mm-din")
    assert muse == din


def test_the_published_setting():
    config = load_config(str(ROOT / "configs" / "taobao-mm-muse.yaml"))
    assert 8 * config.data.batch_size == 8000 and config.train.epochs == 1 and config.model.embedding_dim == 16
    assert (config.sparse_optimizer.lr, config.dense_optimizer.lr) == (2e-3, 2e-4)
    assert config.model.over_arch == [256, 128, 64]


@pytest.mark.parametrize("name", FORMATS)
def test_movielens_trains(tmp_path, name):
    rng = np.random.default_rng(0)
    separator = "\t" if name == "ml-100k" else ","
    ratings = [
        separator.join(map(str, (u, i, rng.integers(1, 6), 100 * n)))
        for u in range(1, 40)
        for n, i in enumerate(rng.permutation(4 * list(MOVIES)))
    ]
    source = FORMATS[name](tmp_path / name, lines=ratings)
    counts = movielens.prepare(source, str(tmp_path / "data"))
    evaluated = train(tmp_path, "movielens", "data.batch_size=32")
    assert evaluated == {"validation": counts["validation"].rows}
