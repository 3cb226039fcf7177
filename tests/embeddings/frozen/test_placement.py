"""The placement of a frozen table follows from sizes alone."""

import pytest

from embeddings.frozen.placement import PLACEMENTS, choose_placement

GIB = 2**30


@pytest.mark.parametrize(
    ("size", "hbm", "ddr", "device", "ranks", "wanted"),
    [
        (4 * GIB, 4 * GIB, 0, "cuda", 8, "replicated"),  # fits to the byte
        (4 * GIB + 1, 4 * GIB, 64 * GIB, "cuda", 8, "row_wise"),
        (32 * GIB, 4 * GIB, 64 * GIB, "cuda", 8, "row_wise"),
        (32 * GIB + 8, 4 * GIB, 64 * GIB, "cuda", 8, "host"),  # a host's devices together are too small
        (65 * GIB, 4 * GIB, 64 * GIB, "cuda", 8, "row_wise"),  # over more hosts than one
        (5 * GIB, 4 * GIB, 64 * GIB, "cuda", 1, "host"),
        (64 * GIB, 0, 64 * GIB, "cpu", 4, "host"),
        (64 * GIB + 1, 0, 64 * GIB, "cpu", 4, "row_wise"),
        (4 * GIB, 0, 64 * GIB, "cpu", 4, "replicated"),  # copies take a quarter
        (4 * GIB + 1, 0, 64 * GIB, "cpu", 4, "host"),
        (0, 0, 0, "cpu", 1, "replicated"),
    ],
)
def test_placement(size: int, hbm: int, ddr: int, device: str, ranks: int, wanted: str) -> None:
    assert wanted in PLACEMENTS
    assert choose_placement(size, hbm, ddr, device, ranks) == wanted
