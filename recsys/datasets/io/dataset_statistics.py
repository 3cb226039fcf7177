"""Statistics of a data set, gathered while it is written: ids of each table, and items without a vector."""

import numpy as np

from embeddings.frozen.store import FrozenStore
from recsys.datasets.io.split_writer import Columns
from recsys.features.ragged import as_array, as_ragged

LOOKED_UP_EVERY = 64  # of the rows' histories so many are looked up: random reads of every behaviour would take hours


class DatasetStatistics:
    """Counts over columns ``user``, ``item``, ``history`` and the id columns ``ids``, whose distinct values are kept.

    Args:
        store: where items and behaviours are looked up.
        ids: id column of up to some 100,000 distinct values -> the list column that shares its table, or None.
    """

    def __init__(self, store: FrozenStore, ids: dict[str, str | None]) -> None:
        self._store = store
        self._ids = ids
        self._values: dict[str, set[int]] = {name: set() for name in ids}
        self._last_user: int | None = None
        self._users = self._rows = self._without_history = 0
        self._lookups = {"targets": 0, "behaviours": 0}
        self._missing = {"targets": 0, "behaviours": 0}

    def add(self, columns: Columns) -> None:
        """Count the next rows."""
        users, items, history = as_array(columns["user"]), as_array(columns["item"]), as_ragged(columns["history"])
        if not users.size:
            return
        self._users += int((users[1:] != users[:-1]).sum()) + int(users[0] != self._last_user)
        self._last_user = int(users[-1])
        sample = np.arange(-self._rows % LOOKED_UP_EVERY, users.size, LOOKED_UP_EVERY)
        self._rows += users.size
        self._without_history += int((history.lengths == 0).sum())
        self._look_up("targets", items)
        self._look_up("behaviours", history.take(sample).values)
        for name, listed in self._ids.items():
            self._values[name].update(np.unique(as_array(columns[name])).tolist())
            if listed:
                self._values[name].update(np.unique(as_ragged(columns[listed]).take(sample).values).tolist())

    def _look_up(self, role: str, ids: np.ndarray) -> None:
        self._lookups[role] += ids.size
        self._missing[role] += int((self._store.rows(ids) < 0).sum())

    def table_sizes(self) -> dict[str, int]:
        """Rows of hashed tables, twice the ids that each will hold: of users by how often one follows another."""
        counts = {"user": self._users, "item": self._store.count, **{n: len(v) for n, v in self._values.items()}}
        return {name: 2 * max(count, 1) for name, count in counts.items()}

    def facts(self) -> dict[str, int]:
        """What prepare.json tells besides the splits' sizes."""
        return {
            "vectors": self._store.count,
            "targets": self._lookups["targets"],
            "targets_without_vector": self._missing["targets"],
            "behaviours_looked_up": self._lookups["behaviours"],
            "behaviours_without_vector": self._missing["behaviours"],
            "rows_without_history": self._without_history,
        }
