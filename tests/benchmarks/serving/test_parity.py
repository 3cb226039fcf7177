"""Bounds of parity: of logits with tables of float32 alone, of GAUC with any."""

import pytest

from benchmarks.serving.parity import _wrong

ROW = {"dtype": "float32", "rows": 100, "rows_largest": 1e-6, "requests_largest": 1e-6, "gauc_change": 0.0}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, ""),
        ({"requests_largest": 1.1e-5}, "a logit differs from the trainer's by 1.1e-05"),
        ({"rows_largest": 2e-5}, "a logit differs from the trainer's by 2.0e-05"),
        ({"dtype": "int8", "rows_largest": 0.1}, ""),
        ({"dtype": "int8", "gauc_change": -4e-4}, "tables of int8 change the GAUC of 100 rows by -0.00040"),
    ],
)
def test_what_is_beyond_the_bounds(change, said):
    assert _wrong(ROW | change).startswith(said) and bool(_wrong(ROW | change)) == bool(said)
