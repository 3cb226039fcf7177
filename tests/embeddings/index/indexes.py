"""Small live indexes for tests."""

import numpy as np

from embeddings.index.create_index import create_index
from embeddings.index.index_writer import IndexWriter

WIDTH = 4


def small_index(path, dtype: str = "float32", encoder: str = "a-1") -> IndexWriter:
    return create_index(str(path), encoder, WIDTH, dtype)


def vectors_of(ids, seed: int = 0) -> np.ndarray:
    """A unit vector that is a function of id and seed: float32 [n, WIDTH]."""
    mixed = (np.asarray(ids, np.int64).view(np.uint64)[:, None] + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (
        mixed ^ (mixed >> np.uint64(29)) ^ (np.arange(1, WIDTH + 1, dtype=np.uint64) * np.uint64(0xBF58476D1CE4E5B9))
    )
    mixed = (mixed * np.uint64(0x94D049BB133111EB)) >> np.uint64(40)
    vectors = mixed.astype(np.float64) / 2**24 - 0.5 + 1e-3
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def same(index, ids, expected) -> bool:
    """Whether the index has these vectors under these ids."""
    rows = index.rows(np.asarray(ids, np.int64))
    return bool((rows >= 0).all()) and np.allclose(index.vectors[rows], expected, atol=1e-6)
