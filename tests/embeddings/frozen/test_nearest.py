"""Nearest neighbours of a frozen store against a sort of all cosines in float64."""

import numpy as np
import pytest

from embeddings.frozen import nearest
from embeddings.frozen.nearest import nearest_rows
from embeddings.frozen.store import build_store


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("block_rows", [1, 7, 1000])
def test_are_those_of_the_largest_cosines(tmp_path, monkeypatch, dtype, block_rows):
    draw = np.random.default_rng(0)
    store = build_store(str(tmp_path / "s"), np.arange(50) * 3, draw.normal(size=(50, 12)), dtype=dtype)
    monkeypatch.setattr(nearest, "BLOCK_BYTES", block_rows * 4 * 12)
    vectors = store.vectors.astype(np.float64) * (1 if store.scale is None else store.scale[:, None])
    for row in (0, 20, 49):
        rows, cosines = nearest_rows(store, row, 10)
        wanted = vectors @ vectors[row]
        order = [other for other in np.argsort(-wanted) if other != row][:10]
        assert rows.tolist() == order
        np.testing.assert_allclose(cosines, wanted[order], atol=1e-6)


def test_of_a_small_store_are_all_others(tmp_path):
    store = build_store(str(tmp_path / "s"), np.arange(3), np.eye(3), dtype="float32")
    rows, cosines = nearest_rows(store, 1, 20)
    assert rows.tolist() == [0, 2] and cosines.tolist() == [0, 0]  # equal ones: the smaller row first
    alone = build_store(str(tmp_path / "one"), np.arange(1), np.ones((1, 3)), dtype="float32")
    assert nearest_rows(alone, 0, 20)[0].size == 0
