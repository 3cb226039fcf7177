"""Click histories from events in time order: each event's place among its user's, and the clicks strictly before it."""

import numpy as np

from recsys.features.ragged import Ragged


class Timeline:
    """Events sorted by user, then time. Those of one user and second are simultaneous: none is before another.

    user, time  [n]  int64
    """

    def __init__(self, user: np.ndarray, time: np.ndarray) -> None:
        _, begin, owner, count = np.unique(user, return_index=True, return_inverse=True, return_counts=True)
        self._begin, self._count = begin[owner], count[owner]
        opens = np.ones(user.size, bool)
        opens[1:] = (user[1:] != user[:-1]) | (time[1:] != time[:-1])
        self._first = np.maximum.accumulate(np.where(opens, np.arange(user.size), 0))  # of the simultaneous ones

    @property
    def share(self) -> np.ndarray:
        """Of its user's events, the share strictly before each: [n] float64 from 0 to below 1."""
        return (self._first - self._begin) / self._count

    def clicks_before(self, item: np.ndarray, label: np.ndarray, longest: int) -> Ragged:
        """For each event the user's last ``longest`` clicked items strictly before it, oldest first.

        item   [n]  int64
        label  [n]  1 for a click, else 0
        """
        clicks = np.concatenate([[0], np.cumsum(label, dtype=np.int64)])  # before each event
        ends = clicks[self._first]
        return Ragged.from_ranges(item[label == 1], np.maximum(clicks[self._begin], ends - longest), ends)
