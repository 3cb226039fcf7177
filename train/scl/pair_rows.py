"""The pairs of one split: ids in memory, queries read a window of row groups at a time."""

import itertools
from typing import Any

import numpy as np
import pyarrow as pa

from embeddings.errors import InputError
from embeddings.files.parquet_batches import read_batches
from embeddings.files.parquet_footer import DataFile, read_footers, unreadable_group
from recsys.scl.content_columns import contents, read_ids
from recsys.scl.pairs_schema import Pairs, Reference
from train.data.parquet_files import find_files, fingerprint
from train.scl.item_contents import ItemContents, check_pairs_column

_ROWS = 1024  # decoded at once


class PairRows:
    """One split.

    positives  [R]  int64, rows of ``items``
    negatives  [R]  int64, rows of ``items``, -1 where a pair has no hard negative

    Raises InputError for what is missing, of another type, or names an item that is not there.
    """

    def __init__(self, folder: str, split: str, pairs: Pairs, items: ItemContents) -> None:
        self.split, self._pairs, self._items = split, pairs, items
        self.files = read_footers(find_files(folder, split))
        references = [pairs.positive, *([pairs.negative] if pairs.negative else [])]
        for file in self.files:
            check_pairs_column(file, pairs.query.column, pairs.query.kind)
            for reference in references:
                check_pairs_column(file, reference.column, "ids")
        self._groups = [(f, g, int(rows)) for f in self.files for g, rows in enumerate(f.group_rows)]
        self._ends = np.cumsum([0, *(rows for _, _, rows in self._groups)])
        if not len(self):
            raise InputError(f"split '{split}' of '{folder}' has no rows; allowed: at least one pair")
        self.positives = self._rows(pairs.positive, required=True)
        self.negatives = self._rows(pairs.negative) if pairs.negative else np.full(len(self), -1)
        same = self.positives == self.negatives
        if same.any():
            row = int(np.flatnonzero(same)[0])
            raise InputError(
                f"{self.place(row)}: item {items.ids[self.positives[row]]} is both positive and hard negative "
                f"({int(same.sum())} such rows); allowed: another item, or null"
            )

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def identity(self) -> str:
        """Equal as long as the split's rows are the same."""
        return fingerprint(self.files)

    def place(self, row: int) -> str:
        """File and row, for an error."""
        group = self._group(row)
        file = self._groups[group][0]
        first = next(i for i, (f, _, _) in enumerate(self._groups) if f is file)
        return f"'{file.path}', row {row - self._ends[first]} (the first is 0)"

    def windows(self, seed: int, epoch: int, rows: int) -> list[np.ndarray]:
        """All rows in an epoch's order, in windows of whole row groups with at least ``rows`` rows: [n] int64 each."""
        random = np.random.default_rng([seed % 2**63, epoch])
        windows, waiting = [], []
        order = random.permutation(len(self._groups))
        for i, group in enumerate(order):
            waiting.append(np.arange(self._ends[group], self._ends[group + 1]))
            if sum(map(len, waiting)) >= rows or i == order.size - 1:
                windows.append(random.permutation(np.concatenate(waiting)))
                waiting = []
        return windows

    def queries(self, rows: np.ndarray) -> dict[int, Any]:
        """Row -> bytes or string. Reads the row groups that have one of ``rows``. Raises InputError."""
        found: dict[int, Any] = {}
        rows = np.sort(rows)
        for group, some in itertools.groupby(rows.tolist(), key=self._group):
            wanted = np.fromiter(some, np.int64)
            file, number, _ = self._groups[group]
            first = int(self._ends[group])
            for _, batch in read_batches(file, [self._pairs.query.column], _ROWS, [number]):
                end = first + batch.num_rows
                here = wanted[np.searchsorted(wanted, first) : np.searchsorted(wanted, end)]
                values = contents(batch.column(0).take(pa.array(here - first)))
                for row, content in zip(here.tolist(), values, strict=True):
                    if content is None:
                        raise InputError(f"{self.place(row)}: {self._pairs.query.column} is null; remove the row")
                    found[row] = content
                first = end
            if first < self._ends[group + 1]:
                raise unreadable_group(file, number, f"{self._ends[group + 1] - first} rows are missing")
        return found

    def _group(self, row: int) -> int:
        return int(np.searchsorted(self._ends, row, side="right")) - 1

    def _rows(self, reference: Reference, required: bool = False) -> np.ndarray:
        parts = [self._of_file(file, reference, required) for file in self.files]
        return np.concatenate(parts)

    def _of_file(self, file: DataFile, reference: Reference, required: bool) -> np.ndarray:
        values, null = read_ids(file, reference.column)
        if required and null.any():
            row = int(np.flatnonzero(null)[0])
            raise InputError(f"'{file.path}', row {row}: {reference.column} is null; allowed: an item's id; remove it")
        rows = self._items.rows(values)
        if (unknown := (rows < 0) & ~null).any():
            row = int(np.flatnonzero(unknown)[0])
            raise InputError(
                f"'{file.path}', row {row}: {reference.column} is {values[row]}, which is no item of "
                f"'{self._items.about.path}' ({int(unknown.sum())} such rows); add the items or remove the rows"
            )
        return np.where(null, -1, rows)
