"""Which row of its table a raw id reads."""

import numpy as np

from embeddings.hashing import fmix64
from recsys.schema import Table


def table_rows(ids: np.ndarray, table: Table, out: np.ndarray) -> None:
    """Write the table row of each raw id to ``out``, both contiguous int64 of one shape.

    modulo    id mod num_embeddings, never negative
    hash      fmix64(id) mod num_embeddings
    identity  the id itself, checked when it was read
    managed   fmix64(id), without its sign: the table finds the row, on the device
    """
    rows = table.num_embeddings
    if table.ids == "managed":
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
