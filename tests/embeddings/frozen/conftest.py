"""A frozen store for the tests of what is written and opened."""

from pathlib import Path

import pytest

from embeddings.frozen.store import build_store
from tests.embeddings.frozen.stores import IDS, random_vectors


@pytest.fixture
def built(tmp_path: Path) -> str:
    path = str(tmp_path / "store")
    build_store(path, IDS, random_vectors(), dtype="int8", encoder="some encoder")
    return path
