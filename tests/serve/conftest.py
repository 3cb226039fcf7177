"""Schema and stores that the exported models of these tests share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.recsys.exported.artefacts import make_folder

    return make_folder(tmp_path_factory.mktemp("served") / "data")
