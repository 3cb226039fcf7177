"""Fixtures: a tiny folder of pairs and a config on it."""

from pathlib import Path

import pytest

from tests.train.scl import tiny


@pytest.fixture
def own_pairs(tmp_path: Path) -> Path:
    """A folder of pairs that the test may spoil."""
    return tiny.make_pairs(tmp_path / "pairs")


@pytest.fixture
def config(tmp_path: Path, own_pairs: Path) -> Path:
    """A config on it."""
    return tiny.write_config(tmp_path, own_pairs)
