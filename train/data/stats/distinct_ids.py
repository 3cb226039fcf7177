"""Distinct ids of a stream, counted in bounded memory: all of them while they fit, else a uniform sample of them.

Distinct sampling (Gibbons, 2001): an id is kept while the first bits of its hash are zero; where too many ids are kept,
one bit more must be zero. Whether an id is kept depends on the id alone, so those kept were counted from the start.
"""

import math

import numpy as np

from embeddings.hashing import fmix64

_SEED = np.int64(0x2545F4914F6CDD1D)  # so that which ids are kept says nothing about the rows that their hashes give
_PENDING_IDS = 1 << 20


class DistinctIdSample:
    """Kept ids and how often each was seen.

        ids     [n] int64, sorted
        counts  [n] int64

    An id is kept with probability ``share``: 1 as long as there are at most ``limit`` distinct ones, then 1/2, 1/4 ...
    """

    def __init__(self, limit: int) -> None:
        self.ids, self.counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.seen = 0
        self._limit, self._bits = limit, 0
        self._pending: list[np.ndarray] = []
        self._pending_ids = 0

    @property
    def share(self) -> float:
        """The probability with which an id is kept."""
        return 0.5**self._bits

    @property
    def exact(self) -> bool:
        """Whether every distinct id is kept."""
        return self._bits == 0

    def add(self, ids: np.ndarray) -> None:
        """Count ``ids``, int64 of any length."""
        self.seen += ids.size
        ids = ids[self._selected(ids)] if self._bits else ids
        self._pending.append(ids.copy())
        self._pending_ids += ids.size
        if self._pending_ids >= max(self._limit, _PENDING_IDS):
            self.merge_pending()

    def merge_pending(self) -> None:
        """Bring ``ids`` and ``counts`` up to date."""
        fresh, times = np.unique(np.concatenate([self.ids[:0], *self._pending]), return_counts=True)
        self._pending, self._pending_ids = [], 0
        self.ids, places = np.unique(np.concatenate([self.ids, fresh]), return_inverse=True)
        counts = np.zeros(self.ids.size, np.int64)
        counts[places[: self.counts.size]] += self.counts
        counts[places[self.counts.size :]] += times
        self.counts = counts
        while self.ids.size > self._limit:
            self._bits += 1
            keep = self._selected(self.ids)
            self.ids, self.counts = self.ids[keep], self.counts[keep]

    def distinct(self) -> tuple[float, float]:
        """Distinct ids seen, and the standard error of that number; 0 where it is exact."""
        self.merge_pending()
        return self.ids.size / self.share, math.sqrt(self.ids.size * (1 - self.share)) / self.share

    def _selected(self, ids: np.ndarray) -> np.ndarray:
        """[n] bool: whether the first bits of each id's hash are zero."""
        hashes = np.empty(ids.size, np.int64)
        fmix64(np.bitwise_xor(ids, _SEED), hashes)
        return (hashes.view(np.uint64) >> np.uint64(64 - self._bits)) == 0
