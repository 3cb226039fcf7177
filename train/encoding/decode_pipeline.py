"""Decode pipeline: contents of items decoded in threads, ahead of the encoder; batches depend on the items alone."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from recsys.scl.encoding_faults import decoded_or_reason
from train.data.prefetch import PrefetchThread
from train.encoding.item_files import ItemFiles

AHEAD = 4  # batches
SLICE = 32  # contents decoded by a thread at once


@dataclass(frozen=True)
class DecodedBatch:
    """A batch of one part's items.

    ids     [n]  int64
    values  [n]  (what the encoder's decode gave, None), or (None, the reason why it gave nothing)
    last         whether the part ends here
    """

    part: int
    ids: np.ndarray
    values: list[tuple[Any, str | None]]
    last: bool


def decoded_batches(
    items: ItemFiles, runs: list[range], decode: Callable[[Any], Any], batch_size: int, threads: int
) -> Generator[DecodedBatch, None, None]:
    """The batches of all parts in ``runs`` of consecutive parts. Parts begin with a batch of their own.

    Raises InputError for a file that cannot be read.
    """
    total = sum(-(-items.rows(part) // batch_size) for run in runs for part in run)
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        results = _submitted(items, runs, partial(_decoded, decode), batch_size, pool)
        thread = PrefetchThread(results, AHEAD, "read items")
        try:
            for _ in range(total):
                part, ids, futures, last = thread.get()
                values = [value for future in futures for value in future.result()]
                yield DecodedBatch(part, ids, values, last)
        finally:
            thread.close()
            pool.shutdown(cancel_futures=True)


def _decoded(decode: Callable[[Any], Any], contents: list[Any]) -> list[tuple[Any, str | None]]:
    return [decoded_or_reason(decode, content) for content in contents]


def _submitted(
    items: ItemFiles, runs: list[range], work: Callable, batch_size: int, pool: ThreadPoolExecutor
) -> Iterator[tuple[int, np.ndarray, list[Future], bool]]:
    for run in runs:
        contents = items.contents(run)
        held: list[Any] = []
        for part in run:
            first, rows = part * items.part_rows, items.rows(part)
            for start in range(0, rows, batch_size):
                size = min(batch_size, rows - start)
                while len(held) < size:
                    held += next(contents)
                batch, held = held[:size], held[size:]
                futures = [pool.submit(work, batch[i : i + SLICE]) for i in range(0, size, SLICE)]
                yield part, items.ids[first + start : first + start + size], futures, start + size == rows
