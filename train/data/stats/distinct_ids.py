"""Distinct ids of a stream, counted in bounded memory: all of them while they fit, else a fair sample of them.

Distinct sampling (Gibbons, 2001): an id is kept while the first bits of its hash are zero; where too many ids are kept,
one bit more must be zero. Whether an id is kept depends on the id alone, so those kept were counted from the start.
"""

import math

import numpy as np

from embeddings.hashing import fmix64

_SEED = np.int64(0x2545F4914F6CDD1D)  # so that which ids are kept says nothing about the rows that their hashes give
_BUFFERED = 1 << 20


class IdSample:
    """Kept ids and how often each was seen.

        ids     [n] int64, sorted
        counts  [n] int64

    An id is kept with probability ``share``: 1 as long as there are at most ``limit`` distinct ones, then 1/2, 1/4 ...
    """

    def __init__(self, limit: int) -> None:
        self.ids, self.counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.seen = 0
        self._limit, self._bits = limit, 0
        self._waiting: list[np.ndarray] = []
        self._waits = 0

    @property
    def share(self) -> float:
        return 0.5**self._bits

    @property
    def exact(self) -> bool:
        return self._bits == 0

    def add(self, ids: np.ndarray) -> None:
        """Count ``ids``, int64 of any length."""
        self.seen += ids.size
        ids = self._kept(ids)
        self._waiting.append(ids.copy())
        self._waits += ids.size
        if self._waits >= max(self._limit, _BUFFERED):
            self.settle()

    def settle(self) -> None:
        """Bring ``ids`` and ``counts`` up to date."""
        fresh, times = np.unique(np.concatenate([self.ids[:0], *self._waiting]), return_counts=True)
        self._waiting, self._waits = [], 0
        self.ids, places = np.unique(np.concatenate([self.ids, fresh]), return_inverse=True)
        counts = np.zeros(self.ids.size, np.int64)
        counts[places[: self.counts.size]] += self.counts
        counts[places[self.counts.size :]] += times
        self.counts = counts
        while self.ids.size > self._limit:
            self._bits += 1
            keep = self._drawn(self.ids)
            self.ids, self.counts = self.ids[keep], self.counts[keep]

    def distinct(self) -> tuple[float, float]:
        """Distinct ids seen, and the standard error of that number; 0 where it is exact."""
        self.settle()
        return self.ids.size / self.share, math.sqrt(self.ids.size * (1 - self.share)) / self.share

    def _kept(self, ids: np.ndarray) -> np.ndarray:
        return ids[self._drawn(ids)] if self._bits else ids

    def _drawn(self, ids: np.ndarray) -> np.ndarray:
        hashes = np.empty(ids.size, np.int64)
        fmix64(np.bitwise_xor(ids, _SEED), hashes)
        return (hashes.view(np.uint64) >> np.uint64(64 - self._bits)) == 0
