"""How many ids of a table share their row with another id, as its data are and as its size lets expect."""

import math
from dataclasses import dataclass

import numpy as np

from recsys.features.table_rows import table_rows
from recsys.schema import Table
from train.data.stats.distinct_ids import IdSample

_FILTER = 1 << 24  # entries of the first test of pass two; a row that fails it is none of the sample's


@dataclass(frozen=True)
class Shared:
    """Shares in [0, 1] with their standard errors, 0 where they are exact: of distinct ids, and of looked-up ids."""

    ids: float
    ids_error: float
    lookups: float
    lookups_error: float


class RowSharing:
    """Which rows of a sample's ids another id reads too. ``add`` sees the stream again, unless all ids are kept."""

    def __init__(self, sample: IdSample, table: Table) -> None:
        sample.settle()
        self._sample, self._table = sample, table
        rows = self._rows(sample.ids)
        order = np.argsort(rows, kind="stable")
        self._sorted, self._ids = rows[order], sample.ids[order]
        self._counts = sample.counts[order]
        self._shared = np.zeros(rows.size, bool)
        same = self._sorted[1:] == self._sorted[:-1]
        self._shared[1:] |= same
        self._shared[:-1] |= same
        self._near = np.zeros(_FILTER, bool)
        self._near[rows & (_FILTER - 1)] = True

    def add(self, ids: np.ndarray) -> None:
        """Note which of ``ids``, int64 of any length, read the row of a sampled id and are not that id."""
        if self._sample.exact or not ids.size:
            return
        rows = self._rows(ids)
        near = self._near[rows & (_FILTER - 1)]
        ids, rows = ids[near], rows[near]
        place = np.minimum(np.searchsorted(self._sorted, rows), self._sorted.size - 1)  # the first of equal rows
        other = (self._sorted[place] == rows) & (self._ids[place] != ids)
        self._shared[place[other]] = True  # of several sampled ids on one row, all are marked from the start

    def shares(self) -> Shared:
        """Estimated from the sample; exact where it holds every id."""
        ones, drawn = np.ones(self._shared.size), 1 - self._sample.share
        return Shared(*_ratio(self._shared, ones, drawn), *_ratio(self._shared, self._counts, drawn))

    def _rows(self, ids: np.ndarray) -> np.ndarray:
        rows = np.empty(ids.size, np.int64)
        table_rows(np.ascontiguousarray(ids), self._table, rows)
        return rows


def _ratio(hit: np.ndarray, weight: np.ndarray, drawn: float) -> tuple[float, float]:
    """Weighted share of ``hit`` and its standard error, by linearisation; ``drawn`` is 0 for a census."""
    total = float(weight.sum())
    if not total:
        return 0.0, 0.0
    share = float(weight[hit].sum()) / total
    return share, math.sqrt(drawn * float(np.square(weight * (hit - share)).sum())) / total


def expected_share(distinct: float, rows: int) -> float:
    """Share of ids that share a row where every id falls on a row by chance: 1 - (1 - 1/rows)^(distinct - 1)."""
    return -math.expm1((distinct - 1) * math.log1p(-1 / rows)) if rows > 1 else float(distinct > 1)


def rows_for(distinct: float, share: float) -> int:
    """Rows with which a share of ``share`` of the ids is expected to share one: the inverse of ``expected_share``."""
    if distinct <= 1:
        return 1
    return math.ceil(1 / -math.expm1(math.log1p(-share) / (distinct - 1)))
