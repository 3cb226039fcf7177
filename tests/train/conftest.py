"""Fixtures for tests that train: one small data folder, and a config on it that each test completes."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from train.distributed.signals import SAVING


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """A command or a run that ends in this process ignores signals from then on; the next test does not."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, *SAVING)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny data folder that no test changes."""
    from tests.train import tiny

    return tiny.make_data(tmp_path_factory.mktemp("data") / "tiny", train_rows=384)


@pytest.fixture
def config(tmp_path: Path, data: Path) -> Callable[..., Path]:
    """Writes ``tmp_path/run.yaml`` for a small model whose runs go to ``tmp_path/runs``; returns its path."""

    def write(folder: Path = data) -> Path:
        path = tmp_path / "run.yaml"
        path.write_text(
            f"data: {{path: {folder}, shuffle_rows: 100, batch_size: 32, eval_batch_size: 64}}\n"
            "model: {embedding_dim: 4, over_arch: [8, 8], attention: {hidden: [4]}, dropout: 0.3}\n"
            "train: {epochs: 2, log_every: 1, warmup_steps: 5, select: auc}\n"
            f"process: {{device: cpu, threads: 1}}\nrun: {{root: {tmp_path / 'runs'}}}\n"
        )
        return path

    return write


@pytest.fixture
def small_config(tmp_path: Path) -> Path:
    """A CTR config of two keys, of data that are not there."""
    file = tmp_path / "mine.yaml"
    file.write_text("data: {path: somewhere}\nmodel: {multimodal: {mode: vector}}\n")
    return file


@pytest.fixture
def own_data(tmp_path) -> Path:
    """A data folder that the test may spoil."""
    from tests.train import tiny

    return tiny.make_data(tmp_path / "own", train_rows=384)


@pytest.fixture(scope="module")
def ranks() -> Iterator:
    """One rank on CPU, for all tests of a file; such a file starts no command, which makes a group of its own."""
    from train.config import ProcessConfig
    from train.distributed.process_group import process_group

    with process_group(ProcessConfig(device="cpu", threads=1)) as alone:
        yield alone
