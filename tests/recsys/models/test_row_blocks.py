"""Whole blocks of rows: zeros behind the rows, nothing else, and nothing where a gradient is wanted."""

import pytest
import torch

from recsys.models.row_blocks import BLOCK, first_rows, whole_blocks


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 5, 8])
def test_rows_of_zeros_up_to_whole_blocks(rows):
    x = torch.randn(rows, 3)
    assert whole_blocks(x) is x  # as gradients are wanted
    with torch.no_grad():
        whole = whole_blocks(x)
    assert whole.shape[0] % BLOCK == 0 and 0 <= whole.shape[0] - rows < BLOCK
    assert first_rows(whole, rows).equal(x) and not whole[rows:].any() and first_rows(x, rows) is x
