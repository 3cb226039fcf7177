"""Going on in the rows' order of the run's first ranks, on other ranks or with other batches.

What a rank of the first run would read is a lane. All lanes have as many rows, and a step takes as many of each:

    lane 0  | 0 1 2 3 | 4 5 6 7 | 8 9      first run: 2 ranks, 4 rows each: step 0 takes 0 1 2 3 of both lanes
    lane 1  | 0 1 2 3 | 4 5 6 7 | 8 9
              rank 0    rank 0             1 rank, 8 rows: the same rows in the same steps, from both lanes
              0 0 1 1   0 0 1 1   0 1      4 ranks, 2 rows each: ranks 0 and 1 share lane 0, 2 and 3 share lane 1

So the position is one number, the rows taken of each lane. Where the rows of a step do not divide among the ranks,
some take a row that another has too, as row-wise sharding wants batches of one size.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsys.features.decode import Ragged, gather_bags
from recsys.features.row_block import RowBlock
from train.data.shard_plan import Plan

Part = tuple[RowBlock, slice | np.ndarray]


@dataclass(frozen=True)
class Lanes:
    """Lanes of ``plan``, the first run's, cut into the batches of ``rank``, one of ``world_size``."""

    plan: Plan
    rank: int
    world_size: int
    batch_size: int

    @property
    def fits(self) -> bool:
        """Whether a step can take as many rows of each lane."""
        return self.world_size * self.batch_size % self.plan.world_size == 0

    @property
    def same_steps(self) -> bool:
        """Whether a step has as many rows as the first run's, and so the same rows."""
        return self.world_size * self.batch_size == self.plan.world_size * self.plan.batch_size

    @cached_property
    def unit_ends(self) -> np.ndarray:
        """Rows of a lane up to the end of each batch of the first run: [batches] int64."""
        plan = self.plan
        start, stop = plan.shard(0)
        sizes = np.full(plan.num_batches, plan.batch_size)
        sizes[-plan.workers :] = stop - start - (plan.batches_per_shard - 1) * plan.batch_size
        return np.cumsum(sizes)

    @cached_property
    def ends(self) -> np.ndarray:
        """Rows of a lane up to the end of each batch of ours: [batches] int64."""
        if self.same_steps:
            return self.unit_ends
        rows, step = int(self.unit_ends[-1]), max(1, self.world_size * self.batch_size // self.plan.world_size)
        return np.append(np.arange(step, rows, step), rows)

    def rows_before(self, batch: int) -> int:
        """Rows that each lane has given before ``batch``."""
        return int(self.ends[batch - 1]) if batch else 0

    def batch_at(self, rows: int) -> int:
        """The batch that has the row after the first ``rows`` of a lane; the number of batches at a lane's end."""
        return int(np.searchsorted(self.ends, rows, side="right"))

    def unit_at(self, rows: int) -> tuple[int, int]:
        """The lane and the first run's batch where ours begins that follows ``rows`` rows of each lane."""
        batch = min(self.batch_at(rows), len(self.ends) - 1)
        lane, row = next((lane, low) for lane, low, _ in self._shares(rows, int(self.ends[batch])))
        return lane, min(int(np.searchsorted(self.unit_ends, row, side="right")), len(self.unit_ends) - 1)

    def _shares(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Lane, first row and end of what this rank takes of rows ``start`` to ``stop`` of all lanes."""
        rows = stop - start
        everything = rows * self.plan.world_size
        first = self.rank * everything // self.world_size
        end = first - (-everything // self.world_size)
        for lane in range(first // rows, (end - 1) // rows + 1):
            yield lane, start + max(first - lane * rows, 0), start + min(end - lane * rows, rows)

    def batches(self, rows: int, units: Callable[[int, int], Iterator[Part]]) -> Iterator[Part]:
        """This rank's batches after the first ``rows`` rows of each lane.

        Args:
            units: gives the batches of a lane of the first run, from a number on.
        """
        cursors: dict[int, _Cursor] = {}
        for batch in range(self.batch_at(rows), len(self.ends)):
            parts: list[Part] = []
            for lane, low, high in self._shares(rows, int(self.ends[batch])):
                if lane not in cursors:
                    first = int(np.searchsorted(self.unit_ends, low, side="right"))
                    cursors[lane] = _Cursor(units(lane, first), int(self.unit_ends[first - 1]) if first else 0)
                parts += cursors[lane].take(low, high)
            rows = int(self.ends[batch])
            yield parts[0] if len(parts) == 1 else _joined(parts)


class _Cursor:
    """Rows of one lane, in order, of which ``units`` gives the ones from ``begin`` on."""

    def __init__(self, units: Iterator[Part], begin: int) -> None:
        self._units = units
        self._begin = self._end = begin
        self._unit: Part | None = None

    def take(self, low: int, high: int) -> list[Part]:
        """Rows ``low`` to ``high`` of the lane, which are not before those taken last."""
        parts = []
        while low < high:
            if low >= self._end:
                window, rows = next(self._units)
                if isinstance(rows, slice):
                    rows = np.arange(rows.start, rows.stop)
                self._unit, self._begin, self._end = (window, rows), self._end, self._end + len(rows)
                continue
            assert self._unit is not None
            window, rows = self._unit
            stop = min(high, self._end)
            parts.append((window, rows[low - self._begin : stop - self._begin]))
            low = stop
        return parts


def _joined(parts: list[Part]) -> Part:
    """The rows of several windows in one."""
    columns, starts = {}, {}
    for field in parts[0][0].columns:
        found = [(w.columns[field], w.starts.get(field), rows) for w, rows in parts]
        if field.kind == "list":
            values = [gather_bags(c.values, s[rows], c.lengths[rows]) for c, s, rows in found]
            lengths = np.concatenate([c.lengths[rows] for c, _, rows in found])
            cut = np.concatenate([c.cut[rows] for c, _, rows in found])
            columns[field] = Ragged(np.concatenate(values), lengths, cut)
            starts[field] = np.cumsum(lengths) - lengths
        else:
            columns[field] = np.concatenate([c[rows] for c, _, rows in found])
    masks = [np.zeros(len(rows), dtype=bool) if w.filled is None else w.filled[rows] for w, rows in parts]
    filled = np.concatenate(masks)
    return RowBlock(len(filled), columns, starts, filled), slice(0, len(filled))
