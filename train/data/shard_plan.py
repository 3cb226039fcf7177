"""Shard plan: which rows go to which shard, shuffle window and batch, from footers alone, the same on every rank.

Row groups, shuffled by (seed, epoch), are laid end to end and cut by rows into world_size * workers shards, the rows of
one reading thread each:

    groups   | 7        | 2     | 9            | 0      | 4          |
    shards   |  rank 0, worker 0 |  0, 1            |  1, 0         | ...      all of the same size
    windows  |     |     |     |~|                                            shuffled inside; whole batches
    batches  | | | | | | | | | |~|                                            the last may be shorter

Row-wise sharding wants batches of the same size on all ranks. Where the rows do not divide evenly, a shard that would
be one row short begins one row early, with the last row of the shard before it: it is ``repeated``, and evaluation
leaves it out. So all ranks have the same batches in number and size, and need not agree on anything at run time.
"""

from dataclasses import dataclass

import numpy as np

from embeddings.errors import InputError


@dataclass(frozen=True)
class Segment:
    """Rows ``skip`` to ``skip + rows`` of one row group."""

    file: int
    group: int
    skip: int
    rows: int


@dataclass(frozen=True)
class ShardPlan:
    """The plan of one split. A shard is the rows that one of ``workers`` reading threads of one rank reads.

        file_of, group_of, group_rows  [G]  int64, one entry a row group

    ``window_rows`` is the number of rows that one thread shuffles together.
    """

    file_of: np.ndarray
    group_of: np.ndarray
    group_rows: np.ndarray
    batch_size: int
    world_size: int
    workers: int
    window_rows: int
    seed: int
    shuffle: bool

    @property
    def num_rows(self) -> int:
        """Rows of the split, over all ranks."""
        return int(self.group_rows.sum())

    @property
    def batches_per_shard(self) -> int:
        """Batches of an epoch in each shard; the last may be shorter."""
        start, stop = self.shard(0)
        return -(-(stop - start) // self.batch_size)

    @property
    def num_batches(self) -> int:
        """Batches of an epoch on each rank."""
        return self.workers * self.batches_per_shard

    @property
    def window_batches(self) -> int:
        """Batches of a window, whole ones; a shard's last window may have fewer."""
        return max(1, self.window_rows // self.batch_size)

    @property
    def num_windows(self) -> int:
        """Windows of a shard."""
        return -(-self.batches_per_shard // self.window_batches)

    @property
    def partition(self) -> dict[str, int]:
        """What of the plan depends on the ranks and on the size of their batches: arguments of build_shard_plan."""
        return {"world_size": self.world_size, "workers": self.workers, "batch_size": self.batch_size}

    def shard(self, index: int) -> tuple[int, int]:
        """First row and end of shard ``index``, in the epoch's order of rows, with a repeated row."""
        base, odd = divmod(self.num_rows, self.world_size * self.workers)
        start = index * base + min(index, odd) - int(self.repeats(index))
        return start, start + base + int(odd > 0)

    def repeats(self, index: int) -> bool:
        """Whether the first row of shard ``index`` is also the last of the shard before it."""
        odd = self.num_rows % (self.world_size * self.workers)
        return 0 < odd <= index

    def rows_of_batches(self, shard: int, first: int, end: int) -> tuple[int, int]:
        """First row and end of batches ``first`` to ``end`` of a shard, in the epoch's order of rows."""
        start, stop = self.shard(shard)
        last = stop if end >= self.batches_per_shard else start + end * self.batch_size
        return min(start + first * self.batch_size, stop), last

    def order(self, epoch: int) -> np.ndarray:
        """Row groups in the order of ``epoch``: [G] int64."""
        groups = len(self.group_rows)
        return self._random(epoch).permutation(groups) if self.shuffle else np.arange(groups)

    def permutation(self, epoch: int, shard: int, window: int, rows: int) -> np.ndarray:
        """Order of the rows inside a window: [rows] int64."""
        return self._random(epoch, 1 + shard, window).permutation(rows)

    def window(self, shard: int, number: int) -> tuple[int, int]:
        """First row and end of a shard's window ``number``, in the epoch's order of rows."""
        first = number * self.window_batches
        return self.rows_of_batches(shard, first, min(first + self.window_batches, self.batches_per_shard))

    def segments(self, order: np.ndarray, start: int, stop: int) -> list[Segment]:
        """The parts of row groups that make up rows ``start`` to ``stop``."""
        ends = np.cumsum(self.group_rows[order])
        result = []
        for place in range(int(np.searchsorted(ends, start, side="right")), len(order)):
            group = int(order[place])
            end, begin = int(ends[place]), int(ends[place] - self.group_rows[group])
            if begin >= stop:
                break
            skip = max(start - begin, 0)
            rows = min(end, stop) - begin - skip
            if rows > 0:
                result.append(Segment(int(self.file_of[group]), int(self.group_of[group]), skip, rows))
        return result

    def _random(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng([self.seed % 2**63, *stream])


def build_shard_plan(
    group_rows: list[np.ndarray],
    *,
    split: str,
    batch_size: int,
    world_size: int,
    workers: int,
    shuffle_rows: int,
    chunk_rows: int,
    seed: int,
) -> ShardPlan:
    """The plan for files whose row groups have ``group_rows`` rows (one int64 array a file).

    Workers are fewer where a rank has fewer rows than workers. Raises InputError where a rank would have no row.
    """
    rows = np.concatenate(group_rows)
    total = int(rows.sum())
    if total == 0:
        raise InputError(f"split '{split}' has no rows in {len(group_rows)} files; write some, or name another split")
    if total < world_size:
        raise InputError(
            f"split '{split}' has {total} rows for {world_size} ranks, at least one a rank is needed; start fewer ranks"
        )
    workers = min(workers, total // world_size)
    return ShardPlan(
        file_of=np.repeat(np.arange(len(group_rows)), [len(g) for g in group_rows]),
        group_of=np.concatenate([np.arange(len(g)) for g in group_rows]),
        group_rows=rows,
        batch_size=batch_size,
        world_size=world_size,
        workers=workers,
        window_rows=shuffle_rows // workers if shuffle_rows else chunk_rows,
        seed=seed,
        shuffle=shuffle_rows > 0,
    )
