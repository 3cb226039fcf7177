"""Label scan: whether labels and users of a split let a metric be defined at all, asked before anything is trained."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embeddings.errors import InputError
from embeddings.files.parquet_footer import read_footers
from recsys.metrics import undefined
from recsys.schema import Schema
from train.data.parquet_files import find_files
from train.data.row_groups import read_segment
from train.data.shard_plan import Segment

_CHUNK_ROWS = 65_536
_MOST_USERS = 1 << 22  # remembered at once: 32 MiB


def why_undefined(folder: str, split: str, schema: Schema, metric: str, *, skip_corrupt: bool = False) -> str | None:
    """Why ``metric`` will be undefined on a split, whatever the scores; None where it will not, or nobody can tell.

    Reads two columns, and no further than needed: mostly the first rows tell. Of a split without a user of both labels
    it remembers so many users at most; where there are more, that is not decided here.

    Raises InputError where rows cannot be read; ``skip_corrupt`` passes over them, as the reader does.
    """
    if metric == "log_loss":
        return None
    rows = positives = 0
    users = _Users()
    for labels, ids in _columns(folder, split, schema, skip_corrupt):
        rows, positives = rows + labels.size, positives + int(labels.sum())
        decided = users.add(labels, ids) or users.too_many if metric == "gauc" else 0 < positives < rows
        if decided:
            return None
    if metric == "gauc" and users.of_both_labels():
        return None
    return undefined({"rows": rows, "positives": positives, metric: None})[metric]


def _columns(folder: str, split: str, schema: Schema, skip_corrupt: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Labels as bool and users as int64, [n] each; rows in which either is null are left to the reader."""
    for number, file in enumerate(read_footers(find_files(folder, split))):
        for group, rows in enumerate(file.group_rows.tolist()):
            try:
                names = list({schema.label, schema.user})
                for batch in read_segment(file, names, Segment(number, group, 0, rows), _CHUNK_ROWS):
                    batch = batch.drop_null()
                    labels = pc.cast(batch.column(schema.label), pa.float64(), safe=False)
                    users = pc.cast(batch.column(schema.user), pa.int64(), safe=False)
                    yield labels.to_numpy() > 0, users.to_numpy()
            except InputError:
                if not skip_corrupt:
                    raise


class _Users:
    """Users that were seen with a positive, and with a negative label."""

    def __init__(self) -> None:
        self._seen = [np.zeros(0, np.int64), np.zeros(0, np.int64)]
        self._waiting: list[list[np.ndarray]] = [[], []]
        self._rows = 0

    @property
    def too_many(self) -> bool:
        """Whether no more are remembered."""
        return sum(users.size for users in self._seen) > _MOST_USERS

    def add(self, labels: np.ndarray, users: np.ndarray) -> bool:
        """Whether a user with both labels is known of; rows wait until they are as many as the users that were seen."""
        for positive in (0, 1):
            self._waiting[positive].append(users[labels == bool(positive)])
        self._rows += users.size
        return self._rows > sum(seen.size for seen in self._seen) and self.of_both_labels()

    def of_both_labels(self) -> bool:
        """Whether some user has both labels."""
        self._seen = [np.unique(np.concatenate([s, *w])) for s, w in zip(self._seen, self._waiting, strict=True)]
        self._waiting, self._rows = [[], []], 0
        negative, positive = self._seen
        return bool(np.intersect1d(negative, positive, assume_unique=True).size)
