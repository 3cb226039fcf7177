"""Whole blocks of rows: zeros behind the rows, nothing else, and nothing where a gradient is wanted."""

import pytest
import torch

from recsys.models.row_blocks import NUMBERS, ROWS, first_rows, whole_blocks


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 5, 8])
@pytest.mark.parametrize("width", [1, 4, 8, 9])
def test_rows_of_zeros_up_to_whole_blocks(rows, width):
    x = torch.randn(rows, width)
    assert whole_blocks(x) is x  # as gradients are wanted
    with torch.no_grad():
        whole = whole_blocks(x)
    assert (
        whole.shape[1] == width and whole.stride(0) % NUMBERS == 0 and (whole is x) == (not rows % ROWS and width == 8)
    )
    assert whole.shape[0] % ROWS == 0 and 0 <= whole.shape[0] - rows < ROWS
    assert first_rows(whole, rows).equal(x) and not whole[rows:].any() and first_rows(x, rows) is x


@torch.no_grad()
@pytest.mark.parametrize("width", [3, 70, 123])
@pytest.mark.parametrize("out", [1, 3, 4, 10, 64])
def test_a_row_has_the_same_numbers_wherever_it_is(width, out):
    layer, x = torch.nn.Linear(width, out), torch.randn(50, width)

    def computed(rows):
        product = whole_blocks(layer(whole_blocks(rows)))
        return torch.cat([product, torch.nn.functional.silu(product), product.abs().log1p()], dim=1)[: len(rows)]

    alone = torch.cat([computed(row[None]) for row in x])
    for rows in (2, 3, 4, 7, 16, 50):
        for first in (0, 1, 2, 3):
            assert computed(x.roll(first, 0)[:rows]).equal(alone.roll(first, 0)[:rows])
