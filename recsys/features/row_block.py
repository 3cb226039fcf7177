"""Decoded columns of some rows, held in memory together."""

from dataclasses import dataclass

import numpy as np

from recsys.features.columns import Field
from recsys.features.decode import Column


@dataclass
class RowBlock:
    """Rows held in memory together.

    columns  field -> [R] array, or Ragged of R bags with ``starts``
    starts   list field -> [R] int64, where each bag begins
    filled   [R] bool, rows that stand in for ones that could not be read; None where there are none
    """

    rows: int
    columns: dict[Field, Column]
    starts: dict[Field, np.ndarray]
    filled: np.ndarray | None = None
