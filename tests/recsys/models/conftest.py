"""A tiny data folder for tests of the whole model."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.train import tiny

    return tiny.make_data(tmp_path_factory.mktemp("data") / "tiny", train_rows=64)
