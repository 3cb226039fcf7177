"""A block of rows in memory, column by column: what batches are taken from, and what is shuffled together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys.features.columns import Field
from recsys.features.ragged import Ragged, as_array, as_ragged

Column = np.ndarray | Ragged


@dataclass
class RowBlock:
    """R rows of checked columns. With R = 4:

        row               0        1        2      3
        label             1        0        0      1        [R] float32
        id      user      7        7        4      4        [R] int64
        float   price     .1       .5       .2     .9       [R] float32
        list    history   | 3 9 5 | 3 9 5 |   | 8 |         Ragged of R bags: values [T] int64, offsets [R + 1] int64

    columns    field -> [R] array, or Ragged of R bags
    truncated  list field with a max_length -> [R] bool, whether older values were cut to reach it
    filler     [R] bool, the rows that fill the places of ones that could not be read; None where there are none
    """

    rows: int
    columns: dict[Field, Column]
    truncated: dict[Field, np.ndarray]
    filler: np.ndarray | None = None

    def take(self, rows: slice | np.ndarray) -> "RowBlock":
        """The block of ``rows``: a slice without a step, or an index [n] int64."""
        columns = {f: c.take(rows) if isinstance(c, Ragged) else c[rows] for f, c in self.columns.items()}
        truncated = {field: cut[rows] for field, cut in self.truncated.items()}
        filler = None if self.filler is None else self.filler[rows]
        return RowBlock(len(next(iter(columns.values()))), columns, truncated, filler)

    @classmethod
    def concatenate(cls, blocks: Sequence["RowBlock"]) -> "RowBlock":
        """The rows of all ``blocks``, of which there is at least one, in order.

        The blocks are emptied column by column, so that memory holds little twice.
        """
        columns: dict[Field, Column] = {}
        for field in list(blocks[0].columns):
            parts = [block.columns.pop(field) for block in blocks]
            if field.kind == "list":
                columns[field] = Ragged.concatenate([as_ragged(part) for part in parts])
            else:
                columns[field] = np.concatenate([as_array(part) for part in parts])
        truncated = {f: np.concatenate([block.truncated[f] for block in blocks]) for f in blocks[0].truncated}
        filler = None
        if any(block.filler is not None for block in blocks):
            filler = np.concatenate([np.zeros(b.rows, bool) if b.filler is None else b.filler for b in blocks])
        return cls(sum(block.rows for block in blocks), columns, truncated, filler)
