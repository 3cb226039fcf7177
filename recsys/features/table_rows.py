"""Id hashing: which row of its embedding table a raw id reads."""

import numpy as np

from embeddings.hashing import fmix64
from recsys.schema import TableSchema


def table_rows(ids: np.ndarray, table: TableSchema, out: np.ndarray) -> None:
    """Write the table row of each raw id to ``out``.

    ids, out  [n]  int64, contiguous, two arrays

    modulo    id mod num_embeddings, never negative
    hash      fmix64(id) mod num_embeddings
    identity  the id itself, checked when it was read
    zch       fmix64(id), without its sign: the table finds the row, on the device
    """
    rows = table.num_embeddings
    if table.ids == "zch":
        fmix64(ids, out)
        np.bitwise_and(out, np.iinfo(np.int64).max, out=out)
    elif table.ids == "hash":
        fmix64(ids, out, rows)
    elif table.ids == "identity" or not ids.size or (ids.min() >= 0 and ids.max() < rows):
        out[...] = ids
    else:
        np.floor_divide(ids, rows, out=out)  # by a scalar this is vectorised, np.mod is not
        np.multiply(out, rows, out=out)
        np.subtract(ids, out, out=out)
