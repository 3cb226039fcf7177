"""The streaming reader: parquet rows of one split as Batches, the same on every run, from any position."""

import logging
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from embeddings.errors import InputError
from embeddings.frozen.store import FrozenStore
from recsys.batch import Batch
from recsys.schema import Schema
from train.data.assemble import Assembler
from train.data.columns import announce_unread, check_columns, needed_fields
from train.data.counters import Counters
from train.data.files import chunk_rows, find_files, fingerprint, read_footers
from train.data.plan import make_plan
from train.data.stream import RowSource, selections, window_rows
from train.data.worker import Worker

log = logging.getLogger(__name__)

LOOKUPS_BEFORE_VERDICT = 100_000


@dataclass(frozen=True)
class Position:
    """Where a batch came from. ``row_groups`` is how many row groups were shuffled together with the first."""

    split: str
    epoch: int
    batch: int
    file: str
    row_group: int
    row_groups: int

    def __str__(self) -> str:
        more = f" and {self.row_groups - 1} more shuffled with it" if self.row_groups > 1 else ""
        return (
            f"split '{self.split}', epoch {self.epoch + 1}, batch {self.batch}, "
            f"file '{self.file}', row group {self.row_group}{more}"
        )


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
    ) -> None:
        assert 0 <= rank < world_size and batch_size > 0 and workers > 0 and prefetch > 0 and shuffle_rows >= 0
        assert stores.keys() <= schema.modalities.keys(), "a store without a modality in the schema"
        self.split, self.rank, self._prefetch = split, rank, prefetch
        self._schema, self._stores = schema, stores
        self._files = read_footers(find_files(folder, split))
        self._fields = needed_fields(schema, with_labels)
        self.unread_columns = check_columns(self._files, self._fields, ignored={schema.label})
        self._chunk_rows = chunk_rows(self._files, {f.column for f in self._fields})
        self._plan = make_plan(
            [f.group_rows for f in self._files],
            split=split,
            batch_size=batch_size,
            world_size=world_size,
            workers=workers,
            shuffle_rows=shuffle_rows,
            chunk_rows=self._chunk_rows,
            seed=seed,
        )
        if rank == 0:
            announce_unread(split, self.unread_columns)
            if self._plan.workers < workers:
                log.warning(
                    "split '%s': %d reading threads a rank instead of %d, as there are only %d rows",
                    split, self._plan.workers, workers, self._plan.num_rows,
                )  # fmt: skip
        self._state = {
            "split": split,
            "batch_size": batch_size,
            "world_size": world_size,
            "seed": seed,
            "shuffle_rows": shuffle_rows,
            "workers": self._plan.workers,
            "files": fingerprint(self._files),
        }
        self._assemble = Assembler(schema, stores, with_labels)
        for store in stores.values():
            store.rows(np.zeros(0, dtype=np.int64))  # builds its index once, before threads ask for it
        self.epoch_index, self.batch_index = 0, 0
        self.counters = Counters()

    @property
    def num_rows(self) -> int:
        """Rows of the whole split, over all ranks."""
        return self._plan.num_rows

    @property
    def num_batches(self) -> int:
        """Batches of an epoch on this rank, and on every other."""
        return self._plan.num_batches

    def epoch(self, epoch: int, start: int = 0) -> Generator[Batch, None, None]:
        """The batches of ``epoch`` from batch ``start`` on. Skipped rows cost next to nothing.

        Closing the iterator, or letting go of it, ends its threads. Raises InputError for bad values, and where the
        share of lookups without a vector is above a modality's max_missing.
        """
        assert 0 <= start <= self.num_batches, f"start {start} is not within 0 to {self.num_batches}"
        self.epoch_index, self.batch_index, self.counters = epoch, start, Counters()
        return self._read(epoch, start, self.counters)

    def _read(self, epoch: int, start: int, counters: Counters) -> Generator[Batch, None, None]:
        workers = [
            Worker(self._batches(epoch, worker, start), self._prefetch, f"reader-{self.split}-{worker}")
            for worker in range(self._plan.workers)
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
        plan, (turn, worker) = self._plan, divmod(batch, self._plan.workers)
        shard = self._shard(worker)
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
        return {**self._state, "epoch": epoch, "batch": self.batch_index if batch is None else batch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Set ``epoch_index`` and ``batch_index``: go on with ``epoch(reader.epoch_index, start=reader.batch_index)``.

        Raises InputError where files or settings differ from those that the position was saved with.
        """
        for key, ours in self._state.items():
            if state.get(key) != ours:
                raise InputError(_cannot_resume(key, state.get(key), ours, self.split))
        self.epoch_index, self.batch_index = state["epoch"], state["batch"]

    def _shard(self, worker: int) -> int:
        return self.rank * self._plan.workers + worker

    def _batches(self, epoch: int, worker: int, start: int) -> Iterator[tuple[Batch, Counters]]:
        plan, shard = self._plan, self._shard(worker)
        first = max(0, math.ceil((start - worker) / plan.workers))
        if first >= plan.batches_per_shard:
            return
        begin, _ = window_rows(plan, shard, first // plan.window_batches)
        segments = plan.segments(plan.order(epoch), begin, plan.shard(shard)[1])
        source = RowSource(self._files, self._fields, self._schema, segments, self._chunk_rows)
        repeated = int(plan.repeats(shard) and not plan.shuffle and first == 0)
        for window, rows in selections(plan, source, epoch, shard, first):
            batch, counted = self._assemble(window, rows)
            batch.repeated, repeated = repeated, 0
            yield batch, counted

    def _check_missing(self, counters: Counters, least_lookups: int) -> None:
        for name in self._stores:
            share, limit = counters.missing_share(name), self._schema.modalities[name].max_missing
            if share > limit and counters.lookups[name] >= least_lookups:
                raise InputError(
                    f"split '{self.split}', modality '{name}': {share:.1%} of {counters.lookups[name]} item "
                    f"lookups have no vector in '{self._stores[name].path}', at most {limit:.1%} are allowed; add the "
                    f"missing items to the store, or raise modalities.{name}.max_missing in schema.yaml"
                )


def _cannot_resume(key: str, saved: Any, ours: Any, split: str) -> str:
    if key == "files":
        return (
            f"cannot go on reading split '{split}': its files are not those that the position was saved with "
            f"(fingerprint {ours}, saved {saved}); bring the old files back, or start a new run"
        )
    return (
        f"cannot go on reading split '{split}': {key} is {ours}, the position was saved with {saved}; "
        f"set {key} back to {saved}, or start a new run"
    )
