"""A run with checkpoints, of which a test may damage some."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.train.launch import cli


@pytest.fixture
def run(config: Callable[..., Path], tmp_path: Path) -> Path:
    """A run of 24 steps with checkpoints at 16, 20 and 24."""
    done = cli("ctr", "--config", config(), "train.checkpoint_every=4", "train.keep=3")
    assert done.status == 0, done.err
    return tmp_path / "runs" / "run"
