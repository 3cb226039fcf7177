"""Id collisions: how many ids of a table share their row with another id, counted or estimated from a sample."""

import math
from dataclasses import dataclass

import numpy as np

from recsys.features.table_rows import table_rows
from recsys.schema import TableSchema
from train.data.stats.distinct_ids import DistinctIdSample

_FILTER = 1 << 24  # entries of the first test of pass two; a row that fails it is none of the sample's


@dataclass(frozen=True)
class CollisionRates:
    """Shares in [0, 1] with their standard errors, 0 where they are exact: of distinct ids, and of looked-up ids."""

    ids: float
    ids_error: float
    lookups: float
    lookups_error: float


class CollisionCounter:
    """Which rows of a sample's ids another id reads too. ``add`` sees the stream again, unless all ids are kept."""

    def __init__(self, sample: DistinctIdSample, table: TableSchema) -> None:
        sample.merge_pending()
        self._sample, self._table = sample, table
        rows = self._rows(sample.ids)
        order = np.argsort(rows, kind="stable")
        self._sorted_rows, self._ids = rows[order], sample.ids[order]
        self._counts = sample.counts[order]
        self._collides = np.zeros(rows.size, bool)
        same = self._sorted_rows[1:] == self._sorted_rows[:-1]
        self._collides[1:] |= same
        self._collides[:-1] |= same
        self._filter = np.zeros(_FILTER, bool)
        self._filter[rows & (_FILTER - 1)] = True

    def add(self, ids: np.ndarray) -> None:
        """Note which of ``ids``, int64 of any length, read the row of a sampled id and are not that id."""
        if self._sample.exact or not ids.size:
            return
        rows = self._rows(ids)
        passes = self._filter[rows & (_FILTER - 1)]
        ids, rows = ids[passes], rows[passes]
        place = np.minimum(np.searchsorted(self._sorted_rows, rows), self._sorted_rows.size - 1)  # first of equal rows
        other = (self._sorted_rows[place] == rows) & (self._ids[place] != ids)
        self._collides[place[other]] = True  # of several sampled ids on one row, all are marked from the start

    def rates(self) -> CollisionRates:
        """Estimated from the sample; exact where it holds every id."""
        ones, left_out = np.ones(self._collides.size), 1 - self._sample.share
        return CollisionRates(*_ratio(self._collides, ones, left_out), *_ratio(self._collides, self._counts, left_out))

    def _rows(self, ids: np.ndarray) -> np.ndarray:
        rows = np.empty(ids.size, np.int64)
        table_rows(np.ascontiguousarray(ids), self._table, rows)
        return rows


def _ratio(hit: np.ndarray, weight: np.ndarray, left_out: float) -> tuple[float, float]:
    """Weighted share of ``hit`` and its standard error, by linearisation; ``left_out`` is 0 for a census."""
    total = float(weight.sum())
    if not total:
        return 0.0, 0.0
    share = float(weight[hit].sum()) / total
    return share, math.sqrt(left_out * float(np.square(weight * (hit - share)).sum())) / total


def expected_collision_rate(distinct: float, rows: int) -> float:
    """Share of ids that share a row where every id falls on a row by chance: 1 - (1 - 1/rows)^(distinct - 1)."""
    return -math.expm1((distinct - 1) * math.log1p(-1 / rows)) if rows > 1 else float(distinct > 1)


def rows_for_collision_rate(distinct: float, rate: float) -> int:
    """Rows with which ``rate`` of the ids is expected to share one: the inverse of ``expected_collision_rate``."""
    if distinct <= 1:
        return 1
    return math.ceil(1 / -math.expm1(math.log1p(-rate) / (distinct - 1)))
