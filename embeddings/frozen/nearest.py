"""Exact nearest neighbours in a frozen store: the rows of largest cosine with one of them, block after block."""

import numpy as np
import torch

from embeddings.frozen.store import FrozenStore

BLOCK_BYTES = 8 << 20  # of float32 vectors at once


def nearest_rows(store: FrozenStore, row: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` rows whose vectors have the largest cosines with that of ``row``, which is not among them.

    Reads the whole store once. Equal cosines: the smaller row first.

        row      in [0, N)
        returns  [k] int64 rows, best first, and [k] float32 cosines; k = min(count, N - 1)
    """
    query = _vectors(store, row, row + 1)[0]
    step = max(1, BLOCK_BYTES // (4 * store.width))
    rows, cosines = torch.zeros(0, dtype=torch.int64), torch.zeros(0)
    for start in range(0, store.count, step):
        found = _vectors(store, start, min(start + step, store.count)) @ query
        if start <= row < start + step:
            found[row - start] = -torch.inf
        rows = torch.cat([rows, torch.arange(start, start + found.numel())])
        cosines = torch.cat([cosines, found])
        best = torch.argsort(cosines, descending=True, stable=True)[:count]
        rows, cosines = rows[best], cosines[best]
    kept = min(count, store.count - 1)
    return rows[:kept].numpy(), cosines[:kept].numpy()


def _vectors(store: FrozenStore, start: int, stop: int) -> torch.Tensor:
    """Unit vectors of rows ``start`` to ``stop``, float32 [stop - start, M]."""
    vectors = torch.from_numpy(store.vectors[start:stop].astype(np.float32))
    if store.scale is not None:
        vectors *= torch.from_numpy(store.scale[start:stop].astype(np.float32)).unsqueeze(1)
    return vectors
