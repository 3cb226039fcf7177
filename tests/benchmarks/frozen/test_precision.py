"""Formats of fewer bits: what is rounded, and who changes tier by it."""

import pytest
import torch

from benchmarks.frozen.precision import FORMATS, converted, moved

VECTORS = torch.nn.functional.normalize(torch.randn(50, 24, generator=torch.Generator().manual_seed(0)), dim=1)
PAIRS = torch.arange(50).repeat_interleave(50), torch.arange(50).repeat(50)


@pytest.mark.parametrize(("name", "error"), list(zip(FORMATS, (0.0, 1e-3, 8e-3, 5e-3, 0.09), strict=True)))
def test_vectors_keep_norm_and_direction(name: str, error: float) -> None:
    table, scale = converted(VECTORS, name)
    back = table.float() if scale is None else table * scale.unsqueeze(1)
    assert (back.norm(dim=1) - 1).abs().max() < 4e-3
    assert (back - VECTORS).abs().max() <= error
    assert (table.abs().max() <= {"int8": 127, "int4": 7}.get(name, 1)).item()


def test_fewer_bits_move_more() -> None:
    shares = [moved(VECTORS, name, PAIRS, 20) for name in ("float32", "float16", "int8", "int4")]
    assert shares[0] == 0 and shares == sorted(shares) and shares[2] < 0.05 < shares[3] < 0.6


def test_by_hand() -> None:
    """Similarity .9 of the second to the first; in one tier of two whatever the rounding, in another of many."""
    vectors = torch.tensor([[1.0, 0.0], [0.9, (1 - 0.81) ** 0.5]])
    pair = torch.tensor([0]), torch.tensor([1])
    assert moved(vectors, "int4", pair, 2) == 0
    assert moved(vectors, "int4", pair, 256) == 1
