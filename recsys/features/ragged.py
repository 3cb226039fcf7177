"""Ragged arrays: lists of different lengths as values and offsets, in numpy, for columns of lists."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Ragged:
    """Bags of integers, one a row. Bag b is ``values[offsets[b] : offsets[b + 1]]``; it may be empty.

        bags     | 7  7  3 |   | 9  4 | 5 |       [7, 7, 3], [], [9, 4] and [5]: B = 4, T = 6
        values     7  7  3       9  4   5
        offsets    0         3   3      5   6

    values   [T]      integers, bag after bag; int64 once they are checked
    offsets  [B + 1]  int64, ascending from 0 to T
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def from_lists(cls, bags: Sequence[Sequence[int]]) -> "Ragged":
        """Bag b is ``bags[b]``, as int64."""
        values = np.array([value for bag in bags for value in bag], np.int64)
        return cls.from_lengths(values, np.array([len(bag) for bag in bags], np.int64))

    @classmethod
    def from_lengths(cls, values: np.ndarray, lengths: np.ndarray) -> "Ragged":
        """Bags of ``lengths`` [B], which sum to T, out of ``values`` [T]."""
        offsets = np.zeros(lengths.size + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return cls(values, offsets)

    @classmethod
    def from_ranges(cls, source: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> "Ragged":
        """Bag b is ``source[starts[b] : ends[b]]``; the ranges may overlap.

        source  [S]  integers
        starts  [B]  int64
        ends    [B]  int64, at least ``starts``
        """
        return cls.from_lengths(source[ranges(starts, ends)], ends - starts)

    @classmethod
    def concatenate(cls, parts: Sequence["Ragged"]) -> "Ragged":
        """All bags of ``parts``, of which there is at least one, in order."""
        lengths = np.concatenate([part.lengths for part in parts])
        return cls.from_lengths(np.concatenate([part.values for part in parts]), lengths)

    def __len__(self) -> int:
        return self.offsets.size - 1

    @property
    def lengths(self) -> np.ndarray:
        """[B] int64."""
        return np.diff(self.offsets)

    def take(self, rows: slice | np.ndarray) -> "Ragged":
        """The bags ``rows``: a slice without a step, whose values are not copied, or an index [n] int64.

        Bags come in the order of an index; one may come several times.
        """
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            assert step == 1, "a slice of bags has no step"
            offsets = self.offsets[start : max(start, stop) + 1]
            return Ragged(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])
        return Ragged.from_ranges(self.values, self.offsets[rows], self.offsets[rows + 1])

    def newest(self, length: int) -> "Ragged":
        """The last ``length`` values of each bag."""
        starts, ends = self.offsets[:-1], self.offsets[1:]
        if not (ends - starts > length).any():
            return self
        return Ragged.from_ranges(self.values, np.maximum(starts, ends - length), ends)

    def where(self, keep: np.ndarray) -> "Ragged":
        """The values for which ``keep`` [T] bool is true, in the bags that they were in."""
        if keep.all():
            return self
        kept_before = np.zeros(keep.size + 1, np.int64)
        np.cumsum(keep, out=kept_before[1:])
        return Ragged(self.values[keep], kept_before[self.offsets])


def as_array(column: object) -> np.ndarray:
    """``column``, which holds one value a row."""
    assert isinstance(column, np.ndarray)
    return column


def as_ragged(column: object) -> Ragged:
    """``column``, which holds a bag a row."""
    assert isinstance(column, Ragged)
    return column


def ranges(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """``starts[i], ..., ends[i] - 1`` of every i, laid end to end: [sum of ends - starts] int64."""
    lengths = ends - starts
    before = np.cumsum(lengths) - lengths
    index = np.repeat(starts - before, lengths)
    index += np.arange(index.size)
    return index
