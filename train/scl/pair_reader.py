"""Prefetching reader of training pairs: shuffled, decoded, augmented in threads; deterministic, from any step."""

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from recsys.scl.augment import augment_pictures, augment_texts
from recsys.scl.config import AugmentConfig
from train.data.prefetch import PrefetchThread
from train.scl.decoded_contents import DecodedContents
from train.scl.item_contents import ItemContents
from train.scl.pair_rows import PairRows

_DRAWS = 9


@dataclass(frozen=True)
class PairBatch:
    """A rank's pairs of one step, decoded.

    queries        [B, ...]  what the query encoder takes
    positives      [B, ...]  what the item encoder takes
    negatives      [H, ...]  the same, of the pairs that have a hard negative
    items          [B]       int64, rows of the items' table
    negative_rows  [H]       int64, which pairs have one
    """

    queries: torch.Tensor
    positives: torch.Tensor
    negatives: torch.Tensor
    items: torch.Tensor
    negative_rows: torch.Tensor

    def to(self, device: torch.device) -> "PairBatch":
        return PairBatch(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


class PairReader:
    """Shuffles a split and hands out this rank's share of each step.

    A step has ``world_size * batch_size`` consecutive pairs of the epoch's order, and random numbers for all of them; a
    rank takes its part of both. So a step is the same over any number of ranks that divides it. The last pairs of an
    epoch that fill no step are left out; another order has others last.

    Memory: two windows of ``shuffle_rows`` rows' contents, this rank's share of them; ``prefetch`` steps; the caches.

    Args:
        with_negatives: False leaves hard negatives out.
    """

    def __init__(
        self,
        rows: PairRows,
        items: ItemContents,
        queries: DecodedContents,
        item_contents: DecodedContents,
        augment: AugmentConfig,
        *,
        batch_size: int,
        rank: int,
        world_size: int,
        seed: int,
        shuffle_rows: int,
        workers: int,
        prefetch: int,
        with_negatives: bool,
    ) -> None:
        self._rows, self._items, self._augment = rows, items, augment
        self._queries, self._item_contents = queries, item_contents
        self._batch, self._rank, self._step = batch_size, rank, batch_size * world_size
        self._seed, self._shuffle_rows, self._workers, self._prefetch = seed, shuffle_rows, workers, prefetch
        self._with_negatives = with_negatives

    @property
    def num_batches(self) -> int:
        """Steps of an epoch."""
        return len(self._rows) // self._step

    @property
    def rows_per_step(self) -> int:
        return self._step

    @property
    def identity(self) -> dict[str, Any]:
        """What a position depends on; a run goes on only where it is the same."""
        return {"rows": self._rows.identity, "items": self._items.identity, "seed": self._seed,
                "shuffle_rows": self._shuffle_rows, "rows_per_step": self._step}  # fmt: skip

    def epoch(self, epoch: int, start: int = 0) -> Generator[PairBatch, None, None]:
        """The steps of ``epoch`` from step ``start`` on. Closing it ends its threads. Raises InputError."""
        with ThreadPoolExecutor(self._workers, thread_name_prefix="pairs") as pool:
            worker = PrefetchThread(self._submitted(epoch, start, pool), self._prefetch, "pairs")
            try:
                for _ in range(start, self.num_batches):
                    yield worker.get().result()
            finally:
                worker.close()
                pool.shutdown(cancel_futures=True)

    def _submitted(self, epoch: int, start: int, pool: ThreadPoolExecutor) -> Iterator[Future]:
        """The steps in work, in order. Reads the contents of queries a window at a time."""
        windows = self._rows.windows(self._seed, epoch, self._shuffle_rows)
        ends = np.cumsum([0, *map(len, windows)])
        order = np.concatenate(windows)
        places = np.arange(len(order))
        own = (places % self._step) // self._batch == self._rank
        own &= (places >= start * self._step) & (places < self.num_batches * self._step)
        held: dict[int, Any] = {}
        window = 0
        for step in range(start, self.num_batches):
            first = step * self._step + self._rank * self._batch
            while window < len(windows) and ends[window] < first + self._batch:
                part = slice(ends[window], ends[window + 1])
                held |= self._rows.queries(order[part][own[part]])
                window += 1
            rows = order[first : first + self._batch]
            contents = {int(row): held.pop(int(row)) for row in rows}
            yield pool.submit(self._made, rows, contents, epoch, step)

    def _made(self, rows: np.ndarray, contents: dict[int, Any], epoch: int, step: int) -> PairBatch:
        negatives = self._rows.negatives[rows] if self._with_negatives else np.full(rows.size, -1)
        negative_rows = np.flatnonzero(negatives >= 0)
        seed = np.random.SeedSequence([self._seed % 2**63, epoch, step]).generate_state(1, np.uint64)[0] >> 1
        draws = torch.rand(3, self._step, _DRAWS, generator=torch.Generator().manual_seed(int(seed)))
        draws = draws[:, self._rank * self._batch : (self._rank + 1) * self._batch]
        positives = self._rows.positives[rows]
        with_negative = torch.from_numpy(negative_rows)
        return PairBatch(
            self._view(self._queries, rows.tolist(), contents.__getitem__, draws[0]),
            self._view(self._item_contents, positives.tolist(), self._items.content, draws[1]),
            self._view(self._item_contents, negatives[negative_rows].tolist(), self._items.content,
                       draws[2][with_negative]),
            torch.from_numpy(positives),
            with_negative,
        )  # fmt: skip

    def _view(self, contents: DecodedContents, rows: Sequence[int], content: Any, draws: torch.Tensor) -> torch.Tensor:
        decoded = contents.decoded(rows, content)
        if not rows:
            return decoded
        return (augment_pictures if decoded.dim() == 4 else augment_texts)(decoded, draws, self._augment)
