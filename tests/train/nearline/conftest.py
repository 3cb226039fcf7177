"""A small trained run, a stream of impressions for it, and near-line trainings of that in this process."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recsys.stream.stream_writer import StreamWriter
from serve import Scorer
from tests.train import tiny
from tests.train.launch import Done, cli

CONTEXT = {"user": 4, "history": [2, 9, 33, 58, 7]}
CANDIDATES = {"item": list(range(60)), "tags": [[i, i + 40] for i in range(60)], "price": [i / 9 for i in range(60)]}
PLANS = {
    "table_wise": ["sharding.sharding_types=[table_wise]"],
    "mixed": ["sharding.tables.user.sharding_types=[data_parallel]", "sharding.tables.item.sharding_types=[row_wise]",
              "sharding.tables.tag.sharding_types=[column_wise]"],
}  # fmt: skip


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config whose run is trained; tests take copies."""
    root = tmp_path_factory.mktemp("nearline")
    data = tiny.make_data(root / "data", train_rows=192)
    config = root / "shop.yaml"
    config.write_text(
        f"data: {{path: {data}, batch_size: 32, eval_batch_size: 64}}\n"
        "model: {embedding_dim: 4, over_arch: [8], multimodal: {mode: simtier, num_tiers: 4}}\n"
        "train: {warmup_steps: 2, select: auc}\nprocess: {device: cpu, threads: 1}\n"
    )
    done = cli("ctr", "--config", config, f"run.root={root / 'runs'}")
    assert done.status == 0, done.err
    return config


class Nearline:
    """A copy of the run, a stream, a model folder, and commands on them."""

    def __init__(self, trained: Path, root: Path) -> None:
        self.root, self.config = root, trained
        self.run, self.stream, self.model = root / "runs" / "shop", root / "stream", root / "model"
        shutil.copytree(trained.parent / "runs", root / "runs")
        self.writer = StreamWriter(self.stream)

    @property
    def folder(self) -> Path:
        return self.run / "nearline"

    def write(self, *sizes: int) -> None:
        """Files of so many rows, which differ by their number; file n is of second 1000 n."""
        for size in sizes:
            number = self.writer.next_number
            self.writer.write(tiny.rows(size, 100 + number), (1000.0 * number, 1000.0 * number + 5))

    def arguments(self, *more: object) -> list[object]:
        return ["nearline", "--config", self.config, "--stream", self.stream, f"run.root={self.root / 'runs'}", *more]

    def train(self, *more: object, model: bool = True) -> Done:
        done = cli(*self.arguments(*(["--model", self.model, "--publish-s", 0] if model else []), *more))
        assert done.status == 0, done.err
        return done

    def full(self, *more: object) -> np.ndarray:
        """Logits by a full export of the newest checkpoint."""
        out = self.root / "full"
        done = cli("export", self.folder, "--out", out, "--checkpoint", "newest", *more)
        assert done.status == 0, done.err
        return logits(Scorer(out))


def logits(scorer: Scorer) -> np.ndarray:
    """Of every item, for one user."""
    return scorer.score(CONTEXT, CANDIDATES).logits


@pytest.fixture
def nearline(trained: Path, tmp_path: Path) -> Callable[..., Nearline]:
    def make(name: str = "one") -> Nearline:
        return Nearline(trained, tmp_path / name)

    return make
