"""Touched rows: which rows of the tables training may have changed since they were last asked for.

A row changes only in a step that looked it up, on whatever rank: of Adagrad and SGD what has no gradient stays as it
is. So the table rows of each rank's own batches are noted, before they are exchanged, which holds for any sharding type
and for replicated tables too.
"""

from collections.abc import Iterable

import numpy as np
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from recsys.batch import Batch
from recsys.schema import Schema

_MOST_KEPT = 1 << 21  # numbers of a table that are kept before those that repeat are dropped


class TouchedRows:
    """Rows of each table that batches have looked up.

    Args:
        tables: names of those that the model has.
    """

    def __init__(self, schema: Schema, tables: Iterable[str]) -> None:
        kept = set(tables)
        self._table_of = {f.name: f.table for f in schema.features if f.table in kept}
        self._rows: dict[str, list[np.ndarray]] = {name: [] for name in kept}
        self._numbers = dict.fromkeys(kept, 0)

    def add(self, batch: Batch) -> None:
        """Note what ``batch``, on the host, looks up."""
        for ids in (batch.pooled, batch.sequence):
            if ids is not None:
                self._add(ids)

    def _add(self, ids: KeyedJaggedTensor) -> None:
        values, ends = ids.values().numpy(), ids.offset_per_key()
        for name, start, end in zip(ids.keys(), ends, ends[1:], strict=False):
            if (table := self._table_of.get(name)) is not None and end > start:
                self._rows[table].append(values[start:end].copy())
                self._numbers[table] += end - start
                if self._numbers[table] > _MOST_KEPT:
                    self._drop_repeated(table)

    def _drop_repeated(self, table: str) -> None:
        self._rows[table] = [_unique(self._rows[table])]
        self._numbers[table] = _MOST_KEPT // 2  # so that many distinct ones are not sorted with every batch

    def rows(self) -> dict[str, np.ndarray]:
        """Table -> its rows, ascending, each once: [n] int64. Tables without any are left out."""
        return {name: _unique(parts) for name, parts in sorted(self._rows.items()) if parts}

    def clear(self) -> None:
        """Forget them."""
        for name in self._rows:
            self._rows[name], self._numbers[name] = [], 0


def _unique(parts: list[np.ndarray]) -> np.ndarray:
    return np.unique(np.concatenate(parts))
