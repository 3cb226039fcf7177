"""Rows of a batch that have the same history, as a user's impressions of one visit do: each history once."""

import numpy as np

_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying loses nothing
_PLACE = np.uint64(0xC2B2AE3D27D4EB4F)


def equal_bags(values: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Bags that hold the same values in the same order.

    values   [T]  int64, bag after bag
    lengths  [B]  int64; they sum to T
    returns  the row of the first of each distinct bag [U], ascending, and for each row its bag [B]; None where all
             bags differ

    Bags are told apart by 64-bit hashes; those that look equal are then compared value by value.
    """
    stops = np.cumsum(lengths)
    starts = stops - lengths
    place = np.arange(values.size, dtype=np.uint64) - np.repeat(starts, lengths).astype(np.uint64)
    mixed = (values.astype(np.uint64) ^ (place * _PLACE)) * _MIX
    mixed ^= mixed >> np.uint64(29)
    mixed *= _PLACE
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    hashes = (sums[stops] - sums[starts]) ^ (lengths.astype(np.uint64) * _MIX)
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    if first.size == lengths.size:
        return None
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    first, group = first[order], rank[group]
    twin = first[group]  # the row that each row must equal
    if not np.array_equal(lengths, lengths[twin]):
        return None
    shift = np.repeat(starts[twin] - starts, lengths)
    return (first, group) if np.array_equal(values, values[np.arange(values.size) + shift]) else None
