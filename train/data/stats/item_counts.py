"""Item counts: how often each item is a training target, which makes new items and frequency groups."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from embeddings.errors import InputError
from embeddings.files.parquet_batches import read_batches
from embeddings.files.parquet_footer import read_footers
from recsys.features.arrow_columns import arrow_values
from recsys.features.columns import feature_field, label_field
from recsys.schema import Schema
from train.data.column_check import check_columns
from train.data.parquet_files import find_files

_ROWS = 1 << 20  # counted at once


def item_counts(
    folder: str, split: str, schema: Schema, *, skip_corrupt: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Raw target ids of a split and how often each occurs: two int64 arrays [I], ids sorted.

    An occurrence is a row, or a row with label 1, as ``schema.frequency`` says. Reads a row group at a time.

    Raises InputError where a file cannot be read; ``skip_corrupt`` passes over row groups that cannot be decoded, as
    the reader does, which counts them.
    """
    fields = [feature_field(schema.feature(schema.target))]
    fields += [label_field(schema)] if schema.frequency == "clicks" else []
    files = read_footers(find_files(folder, split))
    check_columns(files, fields, ignored=set())
    ids, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for file in files:
        for group in np.flatnonzero(file.group_rows).tolist():
            try:
                for _, batch in read_batches(file, [field.column for field in fields], _ROWS, [group]):
                    counted = pc.value_counts(_targets(batch, schema, f"'{file.path}', row group {group}"))
                    ids, counts = _merged(
                        np.concatenate([ids, counted.field("values").to_numpy().astype(np.int64)]),
                        np.concatenate([counts, counted.field("counts").to_numpy()]),
                    )
            except InputError:
                if not skip_corrupt:
                    raise
    return ids, counts


def _targets(rows: pa.RecordBatch, schema: Schema, place: str) -> pa.Array:
    columns = {
        name: arrow_values(name, rows[name], place, lambda name: rows[name].null_count) for name in rows.schema.names
    }
    if schema.frequency == "clicks":
        rows = rows.filter(pa.array(columns[schema.label] == 1))
    return rows[schema.feature(schema.target).source]


def _merged(ids: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    unique, place = np.unique(ids, return_inverse=True)
    total = np.zeros(unique.size, np.int64)
    np.add.at(total, place, counts)
    return unique, total


def counts_of(targets: np.ndarray, ids: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The count of each target [R], 0 where it is new; ``ids`` sorted."""
    if ids.size == 0:
        return np.zeros(targets.size, np.int64)
    place = np.minimum(np.searchsorted(ids, targets), ids.size - 1)
    return np.where(ids[place] == targets, counts[place], 0)
