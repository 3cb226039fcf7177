"""Splits by users: which of them are held out, by a hash of their ids alone."""

import numpy as np

_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def mixed(ids: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele et al., OOPSLA 2014), by which close ids end far apart.

    ids      [n]  int64, any value
    returns  [n]  uint64
    """
    x = ids.astype(np.int64).view(np.uint64)
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    return x ^ (x >> np.uint64(31))


def held_out(users: np.ndarray, one_in: int) -> np.ndarray:
    """Whether each user is one of those held out, about one in ``one_in``: the same whatever else the data holds.

    users    [n]  int64
    returns  [n]  bool
    """
    return mixed(users) % np.uint64(one_in) == 0
