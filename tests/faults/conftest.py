"""One small data folder, and a config whose runs are long enough to be struck often."""

from pathlib import Path

import pytest

from tests.faults.strikes import write_config
from tests.train import tiny


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("faults") / "tiny", train_rows=768)


@pytest.fixture
def config(tmp_path: Path, data: Path) -> Path:
    return write_config(tmp_path, data)
