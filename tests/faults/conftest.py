"""One small data folder, and a config whose runs are long enough to be struck often."""

from pathlib import Path

import pytest

from tests.train import tiny


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("faults") / "tiny", train_rows=768)


@pytest.fixture
def config(tmp_path: Path, data: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(
        f"data: {{path: {data}, shuffle_rows: 100, batch_size: 16, eval_batch_size: 64}}\n"
        "model: {embedding_dim: 4, over_arch: [8, 8], attention: {hidden: [4]}, dropout: 0.3}\n"
        "train: {epochs: 12, log_every: 1, warmup_steps: 5, select: auc, checkpoint_every: 3,\n"
        "  checkpoint_minutes: 0.02}\n"
        f"process: {{device: cpu, threads: 1, timeout_s: 60}}\nrun: {{root: {tmp_path / 'runs'}, resume: auto}}\n"
    )
    return path
