"""The streaming reader: parquet rows of one split as Batches, the same on every run, from any position."""

import logging
import math
from collections.abc import Generator, Iterator
from functools import partial
from typing import Any

import numpy as np

from embeddings.errors import InputError
from embeddings.frozen.store import FrozenStore
from recsys.batch import Batch
from recsys.features.batch_assembly import Assembler
from recsys.features.columns import needed_fields
from recsys.features.read_counters import Counters
from recsys.features.row_block import RowBlock
from recsys.schema import Schema
from train.data.column_check import announce_unread, check_columns
from train.data.parquet_files import chunk_rows, find_files, fingerprint, read_footers
from train.data.prefetch import Worker
from train.data.read_position import Position, cannot_divide, cannot_resume
from train.data.resharding import Lanes
from train.data.row_groups import StandIns
from train.data.shard_plan import Plan, make_plan
from train.data.shuffle_buffer import RowSource, selections, window_rows

log = logging.getLogger(__name__)

LOOKUPS_BEFORE_VERDICT = 100_000


class RowReader:
    """Reads one split of a data folder as Batches, this rank's share of it.

    Row groups are shuffled, then rows inside windows of ``shuffle_rows`` rows. All ranks have the same number of
    batches of the same sizes. An epoch has every row, and fewer than W * workers of them twice. Batches depend on
    files, seed, epoch, world size, workers, shuffle_rows and batch size alone.

    Only footers are read at the start. Each epoch starts ``workers`` threads, which stream row groups in bounded
    memory: about two windows of rows a rank, and ``prefetch`` batches a worker. Threads that share a row group both
    decode its beginning, so files do best with many row groups, of 10,000 to 100,000 rows each.

    Args:
        folder, split: rows are in ``folder/split/*.parquet``.
        stores: modality -> opened store; modalities without one are left out of the batches.
        batch_size: rows a batch; a shard's last batch may have fewer.
        shuffle_rows: rows shuffled together on a rank; 0 keeps the files' order.
        with_labels: False reads rows without a label column; labels are NaN then.
        skip_corrupt: other rows stand in for those of row groups that cannot be decoded.

    Raises InputError for files, columns or values that cannot be used; for values, while reading.
    """

    def __init__(
        self,
        folder: str,
        split: str,
        schema: Schema,
        stores: dict[str, FrozenStore],
        *,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        seed: int = 0,
        shuffle_rows: int = 0,
        workers: int = 1,
        prefetch: int = 8,
        with_labels: bool = True,
        skip_corrupt: bool = False,
    ) -> None:
        assert 0 <= rank < world_size and batch_size > 0 and workers > 0 and prefetch > 0 and shuffle_rows >= 0
        assert stores.keys() <= schema.modalities.keys(), "a store without a modality in the schema"
        self.split, self.rank, self._prefetch = split, rank, prefetch
        self._schema, self._stores = schema, stores
        self._files = read_footers(find_files(folder, split))
        self._fields = needed_fields(schema, with_labels)
        self.unread_columns = check_columns(self._files, self._fields, ignored={schema.label})
        self._chunk_rows = chunk_rows(self._files, {f.column for f in self._fields})
        self._make_plan = partial(
            make_plan,
            [f.group_rows for f in self._files],
            split=split,
            shuffle_rows=shuffle_rows,
            chunk_rows=self._chunk_rows,
            seed=seed,
        )
        self._plan = self._make_plan(batch_size=batch_size, world_size=world_size, workers=workers)
        self._own = self._lanes = Lanes(self._plan, rank, world_size, batch_size)
        if rank == 0:
            announce_unread(split, self.unread_columns)
            if self._plan.workers < workers:
                log.warning(
                    "split '%s': %d reading threads a rank instead of %d, as there are only %d rows",
                    split, self._plan.workers, workers, self._plan.num_rows,
                )  # fmt: skip
        self._state = {
            "split": split,
            "seed": seed,
            "shuffle_rows": shuffle_rows,
            "files": fingerprint(self._files),
        }
        self._assemble = Assembler(schema, stores, with_labels)
        for store in stores.values():
            store.rows(np.zeros(0, dtype=np.int64))  # builds its index once, before threads ask for it
        self._stand_ins = StandIns() if skip_corrupt else None
        self.epoch_index, self.batch_index = 0, 0
        self._resumed: tuple[int, int, int] | None = None  # epoch, batch, rows of each lane
        self.counters = Counters()

    @property
    def num_rows(self) -> int:
        """Rows of the whole split, over all ranks."""
        return self._plan.num_rows

    @property
    def num_batches(self) -> int:
        """Batches of an epoch on this rank, and on every other."""
        return len(self._lanes.ends)

    def epoch(self, epoch: int, start: int = 0) -> Generator[Batch, None, None]:
        """The batches of ``epoch`` from batch ``start`` on. Skipped rows cost next to nothing.

        Closing the iterator, or letting go of it, ends its threads. Raises InputError for bad values, and where the
        share of lookups without a vector is above a modality's max_missing.
        """
        if self._lanes is not self._own and self._resumed and epoch != self._resumed[0] and not self._goes_on():
            self._lanes, self._plan = self._own, self._own.plan
        assert 0 <= start <= self.num_batches, f"start {start} is not within 0 to {self.num_batches}"
        self.epoch_index, self.batch_index, self.counters = epoch, start, Counters()
        return self._read(epoch, start, self.counters)

    def _goes_on(self) -> bool:
        """Whether later epochs keep the lanes of the run's first ranks too, as their steps have the same rows."""
        return self._lanes.same_steps and _cut(self._lanes.plan) != _cut(self._own.plan)

    def _read(self, epoch: int, start: int, counters: Counters) -> Generator[Batch, None, None]:
        if self._lanes is self._own:
            streams = [self._batches(epoch, worker, start) for worker in range(self._plan.workers)]
        else:
            streams = [self._relaid(epoch, start)]
        workers = [
            Worker(stream, self._prefetch, f"reader-{self.split}-{number}") for number, stream in enumerate(streams)
        ]
        try:
            for batch in range(start, self.num_batches):
                result, counted = workers[batch % len(workers)].get()
                counters.add(counted)
                self.batch_index = batch + 1
                self._check_missing(counters, 0 if batch + 1 == self.num_batches else LOOKUPS_BEFORE_VERDICT)
                yield result
        finally:
            for worker in workers:
                worker.close()

    def position(self, batch: int | None = None) -> Position:
        """Where batch number ``batch`` of the current epoch comes from; None: the last one that was handed out."""
        batch = max(self.batch_index - 1, 0) if batch is None else batch
        plan, lane = self._plan, self.rank
        if self._lanes is not self._own:
            lane, batch_there = self._lanes.unit_at(self._rows_before(self.epoch_index, batch))
        else:
            batch_there = batch
        turn, worker = divmod(batch_there, plan.workers)
        shard = lane * plan.workers + worker
        if plan.shuffle:
            rows = window_rows(plan, shard, turn // plan.window_batches)
        else:
            rows = plan.rows_of_batches(shard, turn, turn + 1)
        segments = plan.segments(plan.order(self.epoch_index), *rows)
        first = segments[0]
        return Position(self.split, self.epoch_index, batch, self._files[first.file].path, first.group, len(segments))

    def state_dict(self, epoch: int | None = None, batch: int | None = None) -> dict[str, Any]:
        """The position, the same on every rank: plain values.

        Args:
            epoch, batch: how far training has come; None: what was handed out. A pipeline that reads ahead has
                trained fewer batches than it was handed.
        """
        epoch = self.epoch_index if epoch is None else epoch
        rows = self._rows_before(epoch, self.batch_index if batch is None else batch)
        return {**self._state, "epoch": epoch, "rows": rows, "lanes": _cut(self._lanes.plan)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set ``epoch_index`` and ``batch_index``: go on with ``epoch(reader.epoch_index, start=reader.batch_index)``.

        On other ranks or with other batches, no row is lost or taken twice; where a step has as many rows over all
        ranks as before, it has the same rows, to the end of the run.

        Raises InputError where files or settings differ from those that the position was saved with, and where in the
        middle of an epoch a step's rows are no multiple of the first run's ranks.
        """
        for key, ours in self._state.items():
            if state.get(key) != ours:
                raise cannot_resume(key, state.get(key), ours, self.split)
        own, lanes, rows = self._own, self._own, state["rows"]
        plan = self._make_plan(**state["lanes"])
        if state["lanes"] != _cut(own.plan) or rows != own.rows_before(own.batch_at(rows)):
            lanes = Lanes(plan, self.rank, own.world_size, own.batch_size)
        if rows == 0 and not lanes.same_steps:
            lanes = own  # nothing of this epoch is trained
        elif rows < lanes.unit_ends[-1] and not lanes.fits:
            raise cannot_divide(lanes, self.split)
        elif lanes is not own and self.rank == 0:
            log.warning(
                "split '%s': going on in the order of %d ranks with %d rows each, with one reading thread a rank",
                self.split, plan.world_size, plan.batch_size,
            )  # fmt: skip
        self._lanes, self._plan = lanes, lanes.plan
        self.epoch_index, self.batch_index = state["epoch"], lanes.batch_at(rows)
        self._resumed = (self.epoch_index, self.batch_index, rows)

    def _rows_before(self, epoch: int, batch: int) -> int:
        """Rows that each lane has given before ``batch``; the first batch after a resume may begin inside its own."""
        return (
            self._resumed[2]
            if self._resumed and self._resumed[:2] == (epoch, batch)
            else self._lanes.rows_before(batch)
        )

    def _batches(self, epoch: int, worker: int, start: int) -> Iterator[tuple[Batch, Counters]]:
        plan, shard = self._plan, self.rank * self._plan.workers + worker
        first = max(0, math.ceil((start - worker) / plan.workers))
        repeated = int(plan.repeats(shard) and not plan.shuffle and first == 0)
        for window, rows in self._selections(epoch, shard, first):
            yield self._assembled(window, rows, repeated)
            repeated = 0

    def _relaid(self, epoch: int, start: int) -> Iterator[tuple[Batch, Counters]]:
        for window, rows in self._lanes.batches(self._rows_before(epoch, start), partial(self._lane, epoch)):
            yield self._assembled(window, rows, 0)

    def _assembled(self, window: RowBlock, rows: slice | np.ndarray, repeated: int) -> tuple[Batch, Counters]:
        """The batch of ``rows``, of which the first ``repeated`` are another batch's too; stand-ins follow them."""
        corrupt = 0
        if window.filled is not None and window.filled[rows].any():
            rows = np.arange(window.rows)[rows]
            left_out = window.filled[rows]
            corrupt = int(left_out.sum())
            left_out[:repeated] = True
            rows, repeated = rows[np.argsort(~left_out, kind="stable")], int(left_out.sum())
        batch, counted = self._assemble(window, rows)
        batch.repeated, counted.corrupt = repeated, corrupt
        return batch, counted

    def _lane(self, epoch: int, lane: int, first: int) -> Iterator[tuple[RowBlock, slice | np.ndarray]]:
        """The batches of rank ``lane`` of the run's first ranks, from number ``first`` on."""
        workers = self._plan.workers
        streams = [
            self._selections(epoch, lane * workers + worker, max(0, math.ceil((first - worker) / workers)))
            for worker in range(workers)
        ]
        for batch in range(first, self._plan.num_batches):
            yield next(streams[batch % workers])

    def _selections(self, epoch: int, shard: int, first: int) -> Iterator[tuple[RowBlock, slice | np.ndarray]]:
        plan = self._plan
        if first >= plan.batches_per_shard:
            return
        begin, _ = window_rows(plan, shard, first // plan.window_batches)
        segments = plan.segments(plan.order(epoch), begin, plan.shard(shard)[1])
        source = RowSource(self._files, self._fields, self._schema, segments, self._chunk_rows, self._stand_ins)
        yield from selections(plan, source, epoch, shard, first)

    def _check_missing(self, counters: Counters, least_lookups: int) -> None:
        for name in self._stores:
            share, limit = counters.missing_share(name), self._schema.modalities[name].max_missing
            if share > limit and counters.lookups[name] >= least_lookups:
                raise InputError(
                    f"split '{self.split}', modality '{name}': {share:.1%} of {counters.lookups[name]} item "
                    f"lookups have no vector in '{self._stores[name].path}', at most {limit:.1%} are allowed; add the "
                    f"missing items to the store, or raise modalities.{name}.max_missing in schema.yaml"
                )


def _cut(plan: Plan) -> dict[str, int]:
    """What of a plan depends on the ranks and on the size of their batches."""
    return {"world_size": plan.world_size, "workers": plan.workers, "batch_size": plan.batch_size}
