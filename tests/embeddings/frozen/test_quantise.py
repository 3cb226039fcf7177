"""Rows to unit vectors: norms, int8 rounding, rows without a direction."""

import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.frozen.quantise import DTYPES, encoded

IDS = np.array([7, -3, 10])


@pytest.mark.parametrize("source", ["float16", "float32", "float64", ">f4", "int8"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_have_norm_one_and_keep_their_direction(source: str, dtype: str) -> None:
    vectors = np.array([[3, -4, 0], [100, 1, 7], [-128, 127, 1]]).astype(source)
    values, scale = encoded(IDS, vectors, dtype)
    assert values.dtype == dtype
    assert (scale is None) == (dtype != "int8")
    stored = values.astype(np.float64) * (1 if scale is None else scale[:, None].astype(np.float64))
    np.testing.assert_allclose(np.linalg.norm(stored, axis=1), 1, rtol=1e-3 if dtype == "float16" else 1e-6)
    wide = vectors.astype(np.float64)
    expected = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    np.testing.assert_allclose(stored, expected, atol=6e-3 if dtype == "int8" else 1e-3 if dtype == "float16" else 1e-6)


def test_int8_rounds_to_nearest_and_uses_the_full_range() -> None:
    values, scale = encoded(IDS[:1], np.array([[1.0, -0.5, 0.249, 0.0]]), "int8")
    assert values.tolist() == [[127, -64, 32, 0]]  # -63.5 and 31.623: nearest, halves to even
    assert scale[0] == np.float32(1 / np.sqrt(127**2 + 64**2 + 32**2))


def test_int8_vectors_are_stored_as_they_are() -> None:
    vectors = np.array([[1, 2, 2], [-128, 0, 0], [0, 0, 5]], dtype=np.int8)
    values, scale = encoded(IDS, vectors, "int8")
    assert values.tolist() == vectors.tolist()
    assert scale.tolist() == pytest.approx([1 / 3, 1 / 128, 1 / 5])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("magnitude", [1e-310, 1e-200, 1e200])
def test_tiny_and_huge_rows_neither_vanish_nor_overflow(dtype: str, magnitude: float) -> None:
    values, scale = encoded(IDS[:1], np.array([[magnitude, -magnitude]]), dtype)
    stored = values.astype(np.float64) * (1 if scale is None else scale[0])
    np.testing.assert_allclose(stored, [[0.5**0.5, -(0.5**0.5)]], rtol=1e-3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("row", "word"),
    [
        ([0, 0, 0], "zero"),
        ([1, np.nan, 0], "not finite"),
        ([1, np.inf, 0], "not finite"),
        ([0, -np.inf, 0], "not finite"),
    ],
)
def test_a_row_without_direction_is_named(dtype: str, row: list, word: str) -> None:
    vectors = np.array([[1, 2, 3], row, [1, 0, 0]], dtype=np.float32)
    with pytest.raises(InputError, match=f"vector of id -3 is {word}"):
        encoded(IDS, vectors, dtype)
