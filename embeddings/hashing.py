"""64-bit integer hashes, each written once: MurmurHash3's fmix64 and SplitMix64, in numpy and in torch.

Both are bijections of the 64-bit numbers in which every bit of the input reaches every bit of the result. Which one a
place uses is part of what is on disk: fmix64 says which row of a hashed table an id reads, SplitMix64 which users are
held out, which numbers a table starts with and which behaviours are dropped.
"""

import numpy as np
import torch

_FMIX_FIRST, _FMIX_SECOND = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_FMIX_SHIFT = np.uint64(33)
_BLOCK = 1 << 14  # ids hashed at once, so that the passes over them stay in the processor's cache
_SPLIT_FIRST, _SPLIT_SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
GOLDEN_RATIO = 0x9E3779B97F4A7C15  # SplitMix64's increment, 2^64 over the golden ratio


def fmix64(ids: np.ndarray, out: np.ndarray, rows: int | None = None) -> None:
    """Write fmix64(id), or with ``rows`` its unsigned remainder, to ``out`` (Appleby, MurmurHash3, 2011). 0 stays 0.

    ids, out  [n]  int64, contiguous
    """
    source, target = ids.view(np.uint64), out.view(np.uint64)
    work = np.empty(min(_BLOCK, ids.size), dtype=np.uint64)
    for start in range(0, ids.size, _BLOCK):
        z = target[start : start + _BLOCK]
        z[...] = source[start : start + _BLOCK]
        w = work[: z.size]
        for factor in (_FMIX_FIRST, _FMIX_SECOND, None):
            np.right_shift(z, _FMIX_SHIFT, out=w)
            np.bitwise_xor(z, w, out=z)
            if factor is not None:
                np.multiply(z, factor, out=z)
        if rows is not None:
            np.floor_divide(z, np.uint64(rows), out=w)
            np.multiply(w, np.uint64(rows), out=w)
            np.subtract(z, w, out=z)


def splitmix64(values: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).

    values   [n]  int64 or uint64, any value
    returns  [n]  uint64
    """
    z = values.view(np.uint64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_SPLIT_FIRST)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_SPLIT_SECOND)
    return z ^ (z >> np.uint64(31))


def splitmix64_tensor(values: torch.Tensor) -> torch.Tensor:
    """``splitmix64`` of an int64 tensor on any device, whose products wrap around: int64 of the same shape and bits."""
    z = values
    for bits, factor in ((30, _SPLIT_FIRST), (27, _SPLIT_SECOND)):
        z = (z ^ logical_shift(z, bits)) * as_int64(factor)
    return z ^ logical_shift(z, 31)


def logical_shift(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Right shift of an int64 tensor that brings zeros, where torch's own brings copies of the sign."""
    return (values >> bits) & ((1 << (64 - bits)) - 1)


def as_int64(value: int) -> int:
    """The low 64 bits of ``value`` as the int64 that torch can hold."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >= 1 << 63 else value
