"""fmix64 and SplitMix64 against Python's own integers and published values."""

import numpy as np
import pytest
import torch

from embeddings.hashing import (
    _BLOCK,
    GOLDEN_RATIO,
    as_int64,
    fmix64,
    logical_shift,
    splitmix64,
    splitmix64_tensor,
)

MASK = (1 << 64) - 1
EDGES = [0, 1, -1, 2, 1 << 33, -(1 << 63), (1 << 63) - 1, 123456789]


def fmix(value: int) -> int:
    value &= MASK
    value = (value ^ value >> 33) * 0xFF51AFD7ED558CCD & MASK
    value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53 & MASK
    return value ^ value >> 33


def hashed(ids: list[int], rows: int | None = None) -> np.ndarray:
    out = np.empty(len(ids), np.int64)
    fmix64(np.array(ids, np.int64), out, rows)
    return out.view(np.uint64)


def test_fmix64_is_the_known_one():
    assert hashed([0, 1]).tolist() == [0, 0xB456BCFC34C2CB2C]  # from MurmurHash3's reference
    assert hashed(EDGES).tolist() == [fmix(i) for i in EDGES]


@pytest.mark.parametrize("count", [0, _BLOCK - 1, _BLOCK, 2 * _BLOCK + 3])
def test_fmix64_in_blocks_and_its_remainder(count: int):
    ids = (EDGES * (count // len(EDGES) + 1))[:count]
    assert hashed(ids, 1_000_003).tolist() == [fmix(i) % 1_000_003 for i in ids]


def test_splitmix64_is_the_known_one():
    """The first numbers of the generator of seed 1234567, as its authors' C code prints them."""
    counters = np.array([(1234567 + n * GOLDEN_RATIO) & MASK for n in (1, 2, 3)], np.uint64)
    assert splitmix64(counters).tolist() == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_the_tensor_has_the_bits_of_the_array():
    values = np.array(EDGES, np.int64)
    tensor = splitmix64_tensor(torch.from_numpy(values))
    assert tensor.dtype == torch.int64 and tensor.numpy().view(np.uint64).tolist() == splitmix64(values).tolist()


def test_shifts_bring_zeros_and_large_numbers_wrap_around():
    assert logical_shift(torch.tensor([-1, 8]), 3).tolist() == [(1 << 61) - 1, 1]
    assert [as_int64(v) for v in (5, (1 << 63) - 1, 1 << 63, MASK, 1 << 64)] == [5, (1 << 63) - 1, -(1 << 63), -1, 0]
