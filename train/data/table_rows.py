"""Which row of its table a raw id reads."""

import numpy as np

from recsys.schema import Table

# MurmurHash3's 64-bit finaliser (Appleby, 2011): every bit of the input reaches every bit of the result.
_FIRST, _SECOND = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_SHIFT = np.uint64(33)
_BLOCK = 1 << 14  # ids mixed at once, so that the passes over them stay in the processor's cache


def table_rows(ids: np.ndarray, table: Table, out: np.ndarray) -> None:
    """Write the table row of each raw id to ``out``, both contiguous int64 of one shape.

    modulo    id mod num_embeddings, never negative
    hash      mixed id mod num_embeddings
    identity  the id itself, checked when it was read
    managed   mixed id, without its sign: the table finds the row, on the device
    """
    rows = table.num_embeddings
    if table.ids == "managed":
        mixed(ids, out)
        np.bitwise_and(out, np.iinfo(np.int64).max, out=out)
    elif table.ids == "hash":
        mixed(ids, out, rows)
    elif table.ids == "identity" or not ids.size or (ids.min() >= 0 and ids.max() < rows):
        out[...] = ids
    else:
        np.floor_divide(ids, rows, out=out)  # by a scalar this is vectorised, np.mod is not
        np.multiply(out, rows, out=out)
        np.subtract(ids, out, out=out)


def mixed(ids: np.ndarray, out: np.ndarray, rows: int | None = None) -> None:
    """Write fmix64(id), or with ``rows`` its unsigned remainder, to ``out``; both contiguous int64 of one shape.

    fmix64 is a bijection of the 64-bit numbers; 0 stays 0.
    """
    source, target = ids.view(np.uint64), out.view(np.uint64)
    work = np.empty(min(_BLOCK, ids.size), dtype=np.uint64)
    for start in range(0, ids.size, _BLOCK):
        z = target[start : start + _BLOCK]
        z[...] = source[start : start + _BLOCK]
        w = work[: z.size]
        for factor in (_FIRST, _SECOND, None):
            np.right_shift(z, _SHIFT, out=w)
            np.bitwise_xor(z, w, out=z)
            if factor is not None:
                np.multiply(z, factor, out=z)
        if rows is not None:
            np.floor_divide(z, np.uint64(rows), out=w)
            np.multiply(w, np.uint64(rows), out=w)
            np.subtract(z, w, out=z)
