"""Item counts: how often each item is a training target, which makes new items and frequency groups."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recsys.schema import Schema
from train.data.parquet_files import find_files, open_file, read_footers, unreadable_group


def item_counts(
    folder: str, split: str, schema: Schema, *, skip_corrupt: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Raw target ids of a split and how often each occurs: two int64 arrays [I], ids sorted.

    An occurrence is a row, or a row with label 1, as ``schema.frequency`` says. Reads a row group at a time.

    Raises InputError where a file cannot be read; ``skip_corrupt`` passes over row groups that cannot be decoded, as
    the reader does, which counts them.
    """
    columns = [schema.feature(schema.target).source] + ([schema.label] if schema.frequency == "clicks" else [])
    ids, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for file in read_footers(find_files(folder, split)):
        opened = open_file(file)
        for group in range(len(file.group_rows)):
            try:
                counted = pc.value_counts(_targets(opened.read_row_group(group, columns=columns), schema))
            except (pa.ArrowException, OSError) as error:
                if skip_corrupt:
                    continue
                raise unreadable_group(file, group, error) from error
            ids, counts = _merged(
                np.concatenate([ids, counted.field("values").to_numpy().astype(np.int64)]),
                np.concatenate([counts, counted.field("counts").to_numpy()]),
            )
    return ids, counts


def _targets(rows: pa.Table, schema: Schema) -> pa.ChunkedArray:
    if schema.frequency == "clicks":
        rows = rows.filter(pc.equal(rows[schema.label].cast(pa.int8()), 1))
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
