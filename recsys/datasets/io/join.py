"""Joins the tables of a raw data set: samples in memory, user features streamed past them, items looked up."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from recsys.datasets.io.parquet_source import TableChunk
from recsys.datasets.io.split_writer import Columns, take_rows
from recsys.features.ragged import Ragged, as_array, ranges


@dataclass(frozen=True)
class LookupTable:
    """A table in memory, whose rows are looked up by an id.

    keys     [N]  int64, sorted, unique
    columns  name -> [N] int64
    """

    keys: np.ndarray
    columns: dict[str, np.ndarray]

    @classmethod
    def of(cls, parts: Iterator[TableChunk], key: str) -> "LookupTable":
        """All of ``parts``, by column ``key``. The first of rows with the same key counts."""
        columns = concatenated(part.columns for part in parts)
        keys, first = np.unique(as_array(columns.pop(key)), return_index=True)
        return cls(keys, {name: as_array(values)[first] for name, values in columns.items()})

    def rows(self, ids: np.ndarray) -> dict[str, np.ndarray]:
        """The columns at ``ids`` [n] int64, 0 where one is not there."""
        places = np.minimum(np.searchsorted(self.keys, ids), self.keys.size - 1)
        missing = self.keys[places] != ids
        return {name: np.where(missing, 0, values[places]) for name, values in self.columns.items()}


def concatenated(parts: Iterable[Columns]) -> Columns:
    """Columns that come in parts, each as one array. There is at least one part, and no lists."""
    parts_of: dict[str, list[np.ndarray]] = {}
    for columns in parts:
        for name, values in columns.items():
            parts_of.setdefault(name, []).append(as_array(values))
    return {name: np.concatenate(values) for name, values in parts_of.items()}


def left_join(samples: Columns, users: Iterator[TableChunk], key: str, rows: int) -> Iterator[Columns]:
    """Samples with their user's features, at most ``rows`` at a time.

    A user's samples come together, in the order of ``samples``; users come in the order of their features. Those
    without features come last, with zeros and empty lists. The first of a user's features counts. Memory: the samples'
    columns twice, and 9 bytes a sample.

        samples  name -> [S] ids or labels, among them ``key``
    """
    samples = take_rows(samples, np.argsort(as_array(samples[key]), kind="stable"))
    keys = as_array(samples[key])
    left = np.ones(keys.size, bool)
    empty: Columns = {}
    for part in users:
        features = dict(part.columns)
        ids = as_array(features.pop(key))
        empty = {name: _blank(values) for name, values in features.items()}
        starts, ends = (np.searchsorted(keys, ids, side=side) for side in ("left", "right"))
        repeats = np.ones(ids.size, bool)
        repeats[np.unique(ids, return_index=True)[1]] = False
        ends = np.where(repeats, starts, ends)
        places = ranges(starts, ends)
        owners = np.repeat(np.arange(ids.size), ends - starts)
        fresh = left[places]  # features that came in an earlier part count
        places, owners = places[fresh], owners[fresh]
        left[places] = False
        for start in range(0, places.size, rows):
            here = slice(start, start + rows)
            yield {**take_rows(samples, places[here]), **take_rows(features, owners[here])}
    alone = np.flatnonzero(left)
    for start in range(0, alone.size, rows):
        index = alone[start : start + rows]
        yield {**take_rows(samples, index), **take_rows(empty, np.zeros(index.size, np.int64))}


def _blank(values: np.ndarray | Ragged) -> np.ndarray | Ragged:
    """One row of zeros, or one empty bag, like ``values``."""
    return Ragged.from_lists([[]]) if isinstance(values, Ragged) else np.zeros(1, np.int64)
