"""Schema and stores that the exported models of these tests share, a model that no test changes, and a test's own."""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.recsys.exported.artefacts import make_folder

    return make_folder(tmp_path_factory.mktemp("served") / "data")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A tiny exported model of one version, which no test changes."""
    from tests.serve.tiny_model import write_version

    root = tmp_path_factory.mktemp("models") / "tiny"
    write_version(root, data, seed=1)
    return root


@pytest.fixture
def own_model(tmp_path: Path, data: Path) -> Path:
    """The same, which the test may change."""
    from tests.serve.tiny_model import write_version

    root = tmp_path / "tiny"
    write_version(root, data, seed=1)
    return root


@pytest.fixture(scope="session")
def scorer(model: Path) -> Any:
    """A scorer of the model that no test changes."""
    from serve.scorer import Scorer

    return Scorer(model)
