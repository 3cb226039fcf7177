"""Checks of a live index: the CRC of each row, norms of 1, rows that belong to one id; whole, or of a sample."""

from collections.abc import Callable

import numpy as np

from embeddings.errors import InputError
from embeddings.frozen.check_store import RowCheck
from embeddings.index.changes import row_crcs
from embeddings.index.live_index import LiveIndex

SAMPLE = 1024  # rows that are checked before an index is used
_AT_ONCE = 1 << 14  # rows


def verify(index: LiveIndex, advance: Callable[[int], None] = lambda count: None) -> int:
    """Read every vector that the index holds now; returns how many. Memory is bounded but for ids.

    Args:
        advance: is told of rows that were read.

    Raises InputError naming the first id whose vector is damaged.
    """
    ids, rows, crcs = index.all_rows()
    if np.unique(rows).size != rows.size:
        raise InputError(f"live index '{index.path}': two ids have one row; {_AGAIN}")
    _check(index, ids, rows, crcs, advance)
    return ids.size


def check_sample(index: LiveIndex) -> None:
    """Read SAMPLE vectors, at even distances. Raises InputError for a damaged one."""
    ids, rows, crcs = index.all_rows()
    sample = np.unique(np.linspace(0, max(0, ids.size - 1), min(SAMPLE, ids.size)).astype(np.int64))
    _check(index, ids[sample], rows[sample], crcs[sample], lambda count: None)


def read_rows(
    index: LiveIndex, ids: np.ndarray, rows: np.ndarray, crcs: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """The vectors [n, M] and scales [n] of ``rows`` as ``LiveIndex.all_rows`` gave them.

    Raises InputError where one does not have the CRC that it was put with.
    """
    values = index.vectors[rows]
    scale = None if index.scale is None else index.scale[rows]
    content = {"vectors": values.view(np.uint8).reshape(ids.size, -1)}
    if scale is not None:
        content["scale"] = scale.view(np.uint8).reshape(ids.size, 4)
    wrong = np.flatnonzero(row_crcs(ids, content) != crcs)
    if wrong.size:
        raise InputError(
            f"live index '{index.path}': the vector of id {ids[wrong[0]]} has another CRC than it was put with: it is "
            f"damaged, and so are {wrong.size} of {ids.size} rows looked at; {_AGAIN}"
        )
    return values, scale


def _check(
    index: LiveIndex, ids: np.ndarray, rows: np.ndarray, crcs: np.ndarray, advance: Callable[[int], None]
) -> None:
    norms = RowCheck(index.path, ids.size)
    for first in range(0, ids.size, _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        values, scale = read_rows(index, ids[part], rows[part], crcs[part])
        wide = values.astype(np.float32)
        norm = np.sqrt(np.einsum("ij,ij->i", wide, wide))
        norms.add(ids[part], norm if scale is None else norm * scale)
        advance(len(values))
    norms.refuse()


_AGAIN = "put these items again, or make the index anew from a snapshot"
