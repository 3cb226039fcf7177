"""Deduplication of a batch's histories: a user's impressions of one visit share one, which is then looked up once."""

import numpy as np

from embeddings.hashing import GOLDEN_RATIO
from recsys.features.ragged import Ragged

_VALUE = np.uint64(GOLDEN_RATIO)  # odd, so that multiplying loses nothing
_PLACE = np.uint64(0xC2B2AE3D27D4EB4F)


def deduplicate_bags(bags: Ragged) -> tuple[np.ndarray, np.ndarray] | None:
    """Bags that hold the same values in the same order.

        bags     B bags of int64
        returns  the row of the first of each distinct bag [U] int64, ascending, and for each row its distinct bag
                 [B] int64; None where all bags differ

    Bags are told apart by 64-bit hashes; those that look equal are then compared value by value, and where the hashes
    of different bags are equal, the answer is None.
    """
    values, lengths, starts, stops = bags.values, bags.lengths, bags.offsets[:-1], bags.offsets[1:]
    place = np.arange(values.size, dtype=np.uint64) - np.repeat(starts, lengths).astype(np.uint64)
    mixed = (values.astype(np.uint64) ^ (place * _PLACE)) * _VALUE
    mixed ^= mixed >> np.uint64(29)
    mixed *= _PLACE
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    hashes = (sums[stops] - sums[starts]) ^ (lengths.astype(np.uint64) * _VALUE)
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    if first.size == lengths.size:
        return None
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    first, group = first[order], rank[group]
    equal_to = first[group]  # the row that each row must equal
    if not np.array_equal(lengths, lengths[equal_to]):
        return None
    shift = np.repeat(starts[equal_to] - starts, lengths)
    return (first, group) if np.array_equal(values, values[np.arange(values.size) + shift]) else None
