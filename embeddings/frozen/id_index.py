"""Index of raw ids: the row of each id in a frozen store, looked up in bulk."""

import numpy as np

# A direct-address table costs 4 bytes for each value in the range of ids: at most 32 bytes an item.
MAX_RANGE_PER_ITEM = 8


class RowIndex:
    """Finds the row of each id by one of three ways, chosen by how densely the ids fill their range.

    No gap at all: a subtraction. At most ``MAX_RANGE_PER_ITEM`` values for each id: a table over the range.
    Otherwise, as with 64-bit hashes: binary search.

        ids  [N]  int64, sorted, unique, N >= 1
    """

    def __init__(self, ids: np.ndarray) -> None:
        assert ids.dtype == np.int64 and ids.ndim == 1 and ids.size, (ids.dtype, ids.shape)
        self._ids = ids
        self._first, self._last = ids[0], ids[-1]
        span = int(ids[-1]) - int(ids[0]) + 1  # Python's integers: the range may pass 2 ** 63
        self._contiguous = span == ids.size
        self._table = None
        if not self._contiguous and span <= MAX_RANGE_PER_ITEM * ids.size:
            self._table = np.full(span, -1, dtype=np.int32 if ids.size < 2**31 else np.int64)
            self._table[ids - self._first] = np.arange(ids.size, dtype=self._table.dtype)

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Row of each id, -1 where it is not in the store.

        ids      [...]  int64, any value
        returns  [...]  int64
        """
        assert ids.dtype == np.int64, f"ids are {ids.dtype}, not int64"
        inside = (ids >= self._first) & (ids <= self._last)
        known = np.where(inside, ids, self._first)  # so that no subtraction below overflows
        if self._contiguous:
            rows = known - self._first
        elif self._table is not None:
            rows = self._table[known - self._first].astype(np.int64)
        else:
            rows = np.searchsorted(self._ids, known)
            inside &= self._ids[rows] == known
        return np.where(inside, rows, -1)
