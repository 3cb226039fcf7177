"""Draws negatives for data without recorded ones: items from outside a user's whole sequence."""

import numpy as np

from embeddings.errors import InputError

ROUNDS = 32  # of rejection before the rest is drawn from an explicit list of what is allowed


class NegativeSampler:
    """Half uniform over the catalogue, half by popularity. Never from the user's sequence, nor twice for a positive.

    owners      [T]  int64 user index of each step of the sequences
    items       [T]  int64 catalogue index of each step
    popularity  [I]  int64 counts; an item that counts 0 comes from the uniform half only
    """

    def __init__(self, owners: np.ndarray, items: np.ndarray, num_items: int, popularity: np.ndarray) -> None:
        self._num_items = num_items
        self._taken = np.unique(owners * num_items + items)  # one key for each (user, item)
        self._cumulative = np.cumsum(popularity)
        self._popularity = popularity
        self._scarcest = num_items - int(np.bincount(self._taken // num_items).max())

    def draw(self, rng: np.random.Generator, owners: np.ndarray, count: int) -> np.ndarray:
        """``count`` negatives for each positive.

        Half of all slots go by popularity: every second one. Where ``count`` is odd, a random half of the positives has
        the extra popular slot.

            owners   [P]         int64 user index of each positive
            returns  [P, count]  int64 catalogue indices

        Raises InputError where a user's sequence leaves fewer than ``count`` items.
        """
        if self._scarcest < count:
            raise InputError(
                f"a user's sequence leaves {self._scarcest} of {self._num_items} items to draw {count} negatives from; "
                "allowed: at least as many as the negatives; leave that user out"
            )
        popular = np.arange(owners.size * count).reshape(-1, count) % 2 == 1
        if count % 2:
            popular = popular[rng.permutation(owners.size)]
        drawn = np.zeros((owners.size, count), np.int64)
        redo = np.ones_like(popular)
        for _ in range(ROUNDS):
            drawn[redo & popular] = self._popular(rng, int((redo & popular).sum()))
            drawn[redo & ~popular] = rng.integers(self._num_items, size=int((redo & ~popular).sum()))
            redo = self._wrong(owners, drawn)
            if not redo.any():
                return drawn
        self._draw_exactly(rng, owners, drawn, redo, popular)
        return drawn

    def _popular(self, rng: np.random.Generator, size: int) -> np.ndarray:
        return np.searchsorted(self._cumulative, rng.integers(self._cumulative[-1], size=size), side="right")

    def _wrong(self, owners: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """[P, count] bool: in the user's sequence, or the same as an earlier slot."""
        keys = owners[:, None] * self._num_items + drawn
        places = np.minimum(np.searchsorted(self._taken, keys), self._taken.size - 1)
        wrong = self._taken[places] == keys
        for slot in range(1, drawn.shape[1]):
            wrong[:, slot] |= (drawn[:, :slot] == drawn[:, slot : slot + 1]).any(axis=1)
        return wrong

    def _draw_exactly(
        self, rng: np.random.Generator, owners: np.ndarray, drawn: np.ndarray, redo: np.ndarray, popular: np.ndarray
    ) -> None:
        """Fill the few slots that rejection left. Where no popular item is allowed, the slot is drawn uniformly."""
        for row, slot in np.argwhere(redo):
            first, last = np.searchsorted(
                self._taken, [owners[row] * self._num_items, (owners[row] + 1) * self._num_items]
            )
            allowed = np.ones(self._num_items, bool)
            allowed[self._taken[first:last] % self._num_items] = False
            allowed[np.delete(drawn[row], slot)] = False
            weight = allowed * self._popularity if popular[row, slot] else allowed
            weight = weight if weight.any() else allowed
            drawn[row, slot] = rng.choice(self._num_items, p=weight / weight.sum())
