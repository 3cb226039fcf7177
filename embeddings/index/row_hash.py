"""Hash table in numpy: id -> row, looked up in bulk while one thread adds to it."""

import numpy as np

_FREE = -2  # a place's row where it holds no id; -1 where its id was deleted
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: consecutive ids land far apart
_AT_ONCE = 1 << 16  # ids, so that what is computed of them stays in the processor's cache
_LEAST_BITS = 10


class RowHash:
    """Open addressing, at most half full. One thread calls ``put``; any number call ``find`` meanwhile.

    A place's id is written before its row, which makes the place count. So a look-up beside a ``put`` finds a new id or
    does not, and of an old one the row before or after.

    Args:
        room: ids that it takes without growing.
    """

    def __init__(self, room: int = 0) -> None:
        self._used = 0  # places that hold an id, deleted ones too
        self._table = _empty(max(_LEAST_BITS, (2 * room).bit_length()))

    def find(self, ids: np.ndarray) -> np.ndarray:
        """Row of each id, -1 where it has none.

        ids      [...]  int64, any value
        returns  [...]  int64
        """
        assert ids.dtype == np.int64, f"ids are {ids.dtype}, not int64"
        table, flat = self._table, np.ascontiguousarray(ids).reshape(-1)
        rows = np.empty(flat.shape, np.int64)
        for first in range(0, flat.size, _AT_ONCE):
            _find(table, flat[first : first + _AT_ONCE], rows[first : first + _AT_ONCE])
        return rows.reshape(ids.shape)

    def put(self, ids: np.ndarray, rows: np.ndarray) -> None:
        """Set the row of each id; -1 deletes it.

        ids   [n]  int64, unique
        rows  [n]  int64, at least -1
        """
        if 2 * (self._used + ids.size) > len(self._table):
            self._grow(ids.size)
        for first in range(0, ids.size, _AT_ONCE):
            self._used += _put(self._table, ids[first : first + _AT_ONCE], rows[first : first + _AT_ONCE])

    def held(self) -> tuple[np.ndarray, np.ndarray]:
        """All ids that have a row, int64 [n] in no order, and their rows, int64 [n]."""
        kept = self._table[self._table[:, 1] >= 0]
        return kept[:, 0], kept[:, 1]

    def _grow(self, more: int) -> None:
        """A table with room for ``more`` ids, and as many again, without the deleted ones."""
        ids, rows = self.held()
        table = _empty(max(_LEAST_BITS, (4 * (ids.size + more) - 1).bit_length()))
        for first in range(0, ids.size, _AT_ONCE):
            _put(table, ids[first : first + _AT_ONCE], rows[first : first + _AT_ONCE])
        self._table, self._used = table, ids.size


def _empty(bits: int) -> np.ndarray:
    table = np.zeros((1 << bits, 2), np.int64)
    table[:, 1] = _FREE
    return table


def _places(table: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Where to look for each id first, int64 [n]."""
    shift = np.uint64(65 - len(table).bit_length())
    return ((ids.view(np.uint64) * _MULTIPLIER) >> shift).view(np.int64)


def _find(table: np.ndarray, ids: np.ndarray, rows: np.ndarray) -> None:
    """Write the row of each of ``ids`` to ``rows``, both [n]."""
    places, last = _places(table, ids), len(table) - 1
    found = table.take(places, axis=0)
    rows[:] = found[:, 1]
    left = np.flatnonzero((found[:, 0] != ids) & (rows != _FREE))  # another id is there: the next place
    ids, places = ids[left], places[left]
    while left.size:
        places = (places + 1) & last
        found = table.take(places, axis=0)
        rows[left] = found[:, 1]
        other = (found[:, 0] != ids) & (found[:, 1] != _FREE)
        left, ids, places = left[other], ids[other], places[other]
    np.maximum(rows, -1, out=rows)


def _put(table: np.ndarray, ids: np.ndarray, rows: np.ndarray) -> int:
    """Set the row of each id; returns how many places that took."""
    places, last, taken = _places(table, ids), len(table) - 1, 0
    while ids.size:
        found = table.take(places, axis=0)
        mine = found[:, 0] == ids
        free = found[:, 1] == _FREE
        mine &= ~free
        wanted = np.flatnonzero(free)
        table[places[wanted], 0] = ids[wanted]
        won = wanted[table[places[wanted], 0] == ids[wanted]]  # of several that want one place the last has it
        taken += won.size
        mine[won] = True
        table[places[mine], 1] = rows[mine]
        left = ~mine
        ids, rows, places = ids[left], rows[left], (places[left] + 1) & last
    return taken
