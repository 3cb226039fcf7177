"""What the processes of the live index's benchmark share: its ids, and a steady rate."""

import time
from collections.abc import Iterator

import numpy as np


def all_ids(count: int) -> np.ndarray:
    """The same random 64-bit ids in every process, int64 [count]."""
    return np.random.default_rng(0).integers(-(2**63), 2**63 - 1, count)


def steady(rate: int, at_once: int, seconds: float) -> Iterator[int]:
    """Numbers of batches of ``at_once``, each when its time has come."""
    start = time.perf_counter()
    for number in range(int(rate * seconds / at_once)):
        wait = start + number * at_once / rate - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        yield number
