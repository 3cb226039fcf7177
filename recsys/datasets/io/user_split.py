"""Splits by users: which of them are held out, by a hash of their ids alone."""

import numpy as np

from embeddings.hashing import splitmix64


def held_out(users: np.ndarray, one_in: int) -> np.ndarray:
    """Whether each user is one of those held out, about one in ``one_in``: the same whatever else the data holds.

    users    [n]  int64
    returns  [n]  bool
    """
    return splitmix64(users.astype(np.int64)) % np.uint64(one_in) == 0
