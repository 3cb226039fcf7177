"""Blocks of rows, taken apart and put together again."""

import numpy as np

from recsys.features.columns import Field
from recsys.features.ragged import Ragged
from recsys.features.row_block import RowBlock

ITEM, TAGS = Field("item", "id"), Field("tags", "list", 2)


def block(first: int, rows: int, filler: bool = False) -> RowBlock:
    """Row r has item r, and tags r and 10 r where r is odd; odd rows were cut."""
    numbers = np.arange(first, first + rows)
    tags = Ragged.from_lists([[int(n), 10 * int(n)] if n % 2 else [] for n in numbers])
    return RowBlock(
        rows, {ITEM: numbers, TAGS: tags}, {TAGS: numbers % 2 == 1}, np.ones(rows, bool) if filler else None
    )


def same(one: RowBlock, other: RowBlock) -> bool:
    return (
        one.rows == other.rows
        and np.array_equal(one.columns[ITEM], other.columns[ITEM])
        and np.array_equal(one.columns[TAGS].values, other.columns[TAGS].values)
        and np.array_equal(one.columns[TAGS].offsets, other.columns[TAGS].offsets)
        and np.array_equal(one.truncated[TAGS], other.truncated[TAGS])
    )


def test_parts_are_the_whole():
    whole = RowBlock.concatenate([block(0, 3), block(3, 1), block(4, 5)])
    assert same(whole, block(0, 9)) and whole.filler is None
    assert same(whole.take(slice(3, 7)), block(3, 4)) and same(whole.take(np.arange(5, 9)), block(5, 4))
    mixed = RowBlock.concatenate([whole.take(np.array([8, 8, 1])), whole.take(slice(0, 1))])
    assert mixed.columns[ITEM].tolist() == [8, 8, 1, 0] and mixed.columns[TAGS].lengths.tolist() == [0, 0, 2, 0]


def test_filler_rows_stay_marked():
    whole = RowBlock.concatenate([block(0, 2), block(2, 2, filler=True), block(4, 1)])
    assert whole.filler.tolist() == [False, False, True, True, False]
    assert whole.take(np.array([3, 0])).filler.tolist() == [True, False]


def test_concatenating_lets_go_of_the_parts():
    parts = [block(0, 2), block(2, 2)]
    RowBlock.concatenate(parts)
    assert not parts[0].columns and not parts[1].columns
