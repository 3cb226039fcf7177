"""Normalises vectors and quantises them to a frozen store's dtype."""

from typing import Literal, get_args

import numpy as np

from embeddings.errors import InputError

StoredDtype = Literal["float32", "float16", "int8"]
DTYPES: tuple[str, ...] = get_args(StoredDtype)


def encoded(ids: np.ndarray, vectors: np.ndarray, dtype: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Unit vectors in ``dtype``, and for int8 the factor that makes a dequantised row's norm 1.

    Floats become int8 by a symmetric scale per row: q = round(127 v / max|v|), scale = 1 / |q|.
    Vectors that are int8 already keep their values when ``dtype`` is int8.

        ids      [n]     int64, named in errors
        vectors  [n, M]  float or int8
        returns  [n, M]  ``dtype``, and [n] float32 scales (int8) or None

    Raises InputError for a row that is zero or not finite: it has no direction.
    """
    wide = vectors.astype(np.float64)
    largest = np.abs(wide).max(axis=1, keepdims=True)
    wrong = ~(np.isfinite(largest) & (largest > 0))[:, 0]  # a NaN or inf anywhere in the row shows in its maximum
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        kind = "zero" if largest[row, 0] == 0 else "not finite"
        raise InputError(
            f"the vector of id {ids[row]} is {kind} and cannot be normalised; allowed: finite vectors with a norm "
            "above 0; leave such items out, they then count as missing"
        )
    wide /= largest  # first, so that squares neither overflow nor vanish
    if dtype == "int8":
        q = vectors if vectors.dtype == np.int8 else np.rint(wide * 127).astype(np.int8)
        norm = np.sqrt(np.square(q.astype(np.float64)).sum(axis=1))
        return q, (1.0 / norm).astype(np.float32)
    wide /= np.sqrt(np.square(wide).sum(axis=1, keepdims=True))
    return wide.astype(dtype), None
