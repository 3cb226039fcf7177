"""Resharding of a saved read position: other ranks or batch sizes go on in the row order of the run's first ranks.

What a rank of the first run would read is a logical shard: the batches of its threads' shards in turn. All logical
shards have as many rows, and a step takes as many of each:

    logical shard 0  | 0 1 2 3 | 4 5 6 7 | 8 9      first run: 2 ranks, 4 rows each; step 0 takes 0 1 2 3 of both
    logical shard 1  | 0 1 2 3 | 4 5 6 7 | 8 9
                       rank 0    rank 0             1 rank, 8 rows: the same rows in the same steps, from both
                       0 0 1 1   0 0 1 1   0 1      4 ranks, 2 rows each: ranks 0 and 1 share shard 0, 2 and 3 shard 1

So the position is one number, the rows taken of each logical shard. Where the rows of a step do not divide among the
ranks, some take a row that another has too, as row-wise sharding wants batches of one size.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recsys.features.row_block import RowBlock
from train.data.shard_plan import ShardPlan

Selection = tuple[RowBlock, slice | np.ndarray]  # a block, and which of its rows


@dataclass(frozen=True)
class LogicalShards:
    """The logical shards of ``plan``, the first run's, cut into the batches of ``rank``, one of ``world_size``."""

    plan: ShardPlan
    rank: int
    world_size: int
    batch_size: int

    @property
    def divides(self) -> bool:
        """Whether a step can take as many rows of each logical shard."""
        return self.world_size * self.batch_size % self.plan.world_size == 0

    @property
    def same_steps(self) -> bool:
        """Whether a step has as many rows as the first run's, and so the same rows."""
        return self.world_size * self.batch_size == self.plan.world_size * self.plan.batch_size

    @cached_property
    def first_ends(self) -> np.ndarray:
        """Rows of a logical shard up to the end of each batch of the first run: [batches] int64."""
        plan = self.plan
        start, stop = plan.shard(0)
        sizes = np.full(plan.num_batches, plan.batch_size)
        sizes[-plan.workers :] = stop - start - (plan.batches_per_shard - 1) * plan.batch_size
        return np.cumsum(sizes)

    @cached_property
    def ends(self) -> np.ndarray:
        """Rows of a logical shard up to the end of each batch of ours: [batches] int64."""
        if self.same_steps:
            return self.first_ends
        rows, step = int(self.first_ends[-1]), max(1, self.world_size * self.batch_size // self.plan.world_size)
        return np.append(np.arange(step, rows, step), rows)

    def rows_before(self, batch: int) -> int:
        """Rows that each logical shard has given before ``batch``."""
        return int(self.ends[batch - 1]) if batch else 0

    def batch_at(self, rows: int) -> int:
        """The batch that has the row after the first ``rows`` of a logical shard; the number of batches at its end."""
        return int(np.searchsorted(self.ends, rows, side="right"))

    def first_batch_at(self, rows: int) -> tuple[int, int]:
        """The logical shard and the first run's batch where ours begins that follows ``rows`` rows of each."""
        batch = min(self.batch_at(rows), len(self.ends) - 1)
        shard, row = next((shard, low) for shard, low, _ in self._shares(rows, int(self.ends[batch])))
        return shard, min(int(np.searchsorted(self.first_ends, row, side="right")), len(self.first_ends) - 1)

    def _shares(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Logical shard, first row and end of what this rank takes of rows ``start`` to ``stop`` of all of them."""
        rows = stop - start
        everything = rows * self.plan.world_size
        first = self.rank * everything // self.world_size
        end = first - (-everything // self.world_size)
        for shard in range(first // rows, (end - 1) // rows + 1):
            yield shard, start + max(first - shard * rows, 0), start + min(end - shard * rows, rows)

    def batches(self, rows: int, first_batches: Callable[[int, int], Iterator[Selection]]) -> Iterator[Selection]:
        """This rank's batches after the first ``rows`` rows of each logical shard.

        Args:
            first_batches: gives the batches that the first run had of a logical shard, from a number on.
        """
        cursors: dict[int, _Cursor] = {}
        for batch in range(self.batch_at(rows), len(self.ends)):
            parts: list[Selection] = []
            for shard, low, high in self._shares(rows, int(self.ends[batch])):
                if shard not in cursors:
                    first = int(np.searchsorted(self.first_ends, low, side="right"))
                    begin = int(self.first_ends[first - 1]) if first else 0
                    cursors[shard] = _Cursor(first_batches(shard, first), begin)
                parts += cursors[shard].take(low, high)
            rows = int(self.ends[batch])
            if len(parts) > 1:
                whole = RowBlock.concatenate([block.take(selected) for block, selected in parts])
                parts = [(whole, slice(0, whole.rows))]
            yield parts[0]


class _Cursor:
    """Rows of one logical shard, in order, of which ``batches`` gives the ones from ``begin`` on."""

    def __init__(self, batches: Iterator[Selection], begin: int) -> None:
        self._batches = batches
        self._begin = self._end = begin
        self._batch: tuple[RowBlock, np.ndarray] | None = None

    def take(self, low: int, high: int) -> list[Selection]:
        """Rows ``low`` to ``high`` of the logical shard, which are not before those taken last."""
        parts: list[Selection] = []
        while low < high:
            if low >= self._end:
                block, rows = next(self._batches)
                if isinstance(rows, slice):
                    rows = np.arange(rows.start, rows.stop)
                self._batch, self._begin, self._end = (block, rows), self._end, self._end + len(rows)
                continue
            assert self._batch is not None
            block, rows = self._batch
            stop = min(high, self._end)
            parts.append((block, rows[low - self._begin : stop - self._begin]))
            low = stop
        return parts
