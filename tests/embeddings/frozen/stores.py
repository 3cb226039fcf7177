"""Rows of small frozen stores for tests."""

import numpy as np

IDS = np.array([42, -(2**63), 7, 2**63 - 1, -5], dtype=np.int64)


def random_vectors(count: int = 5, width: int = 6) -> np.ndarray:
    return np.random.default_rng(3).normal(size=(count, width)).astype(np.float32)
