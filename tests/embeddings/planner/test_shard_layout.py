"""Shards are cut as TorchRec cuts them."""

import pytest
import torch
from torchrec.distributed.sharding_plan import calculate_shard_sizes_and_offsets

from embeddings.planner.shard_layout import block_widths, cut_shards
from embeddings.planner.sharding_types import SHARDING_TYPES, possible_sharding_types


@pytest.mark.parametrize("sharding_type", SHARDING_TYPES)
@pytest.mark.parametrize(
    ("rows", "columns", "world", "local"), [(10, 16, 4, 2), (3, 32, 4, 4), (1000, 24, 6, 3), (1, 8, 1, 1)]
)
@pytest.mark.parametrize("narrowest", [4, 8, None])
def test_cut_equals_torchrec(
    sharding_type: str, rows: int, columns: int, world: int, local: int, narrowest: int | None
) -> None:
    sizes, offsets = calculate_shard_sizes_and_offsets(
        torch.empty(rows, columns, device="meta"), world, local, sharding_type, narrowest
    )
    (width, *_) = block_widths(columns, narrowest)
    if narrowest is None:
        width = columns  # TorchRec's narrowest is 128
    ours = cut_shards(sharding_type, rows, columns, world, local, width)
    assert ours[:, 2:].tolist() == sizes
    # TorchRec's empty shards begin where the table ends too
    assert ours[:, :2].tolist() == [[min(r, rows), c] for r, c in offsets]


def test_widths():
    assert block_widths(128, None) == [32, 64] and block_widths(48, None) == [48] and block_widths(16, None) == [16]
    assert block_widths(48, 8) == [8] and block_widths(48, 10) == [12] and block_widths(30, 4) == [30]


def test_only_widths_that_differ_much_are_tried():
    assert block_widths(1000, None) == [40, 100, 200, 500]
    assert block_widths(3840, None) == [120, 240, 480, 960, 1920] and block_widths(1920, None) == [
        60,
        120,
        240,
        480,
        960,
    ]
    assert block_widths(96, None) == [32, 48] and block_widths(4096, None) == [2**n for n in range(7, 12)]


def test_possible_types():
    for device in ("cpu", "cuda"):
        assert possible_sharding_types(10, 16, False, device) == (SHARDING_TYPES, "")
        assert possible_sharding_types(1, 16, False, device)[0] == tuple(k for k in SHARDING_TYPES if k != "grid_shard")
        assert possible_sharding_types(10, 16, True, device)[0] == ("row_wise",)
        for width in (1, 2, 3, 10):
            assert possible_sharding_types(10, width, True, device)[0] == ()
            assert possible_sharding_types(10, width, False, device)[0] == ("data_parallel",) * (device == "cpu")
