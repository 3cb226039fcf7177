"""Warm-up requests of an exported model: of several sizes, with no user's history, out of the rows of a split."""

from typing import Any

import numpy as np
import pyarrow as pa

from embeddings.files.parquet_batches import read_batches
from embeddings.files.parquet_footer import read_footers
from recsys.features.arrow_columns import arrow_values, nulls
from recsys.features.columns import Field, feature_fields
from recsys.features.ragged import Ragged
from recsys.features.raw_columns import build_row_block
from recsys.features.row_block import Column, RowBlock
from recsys.schema import Schema
from train.data.column_check import check_columns
from train.data.parquet_files import find_files

SIZES = (1, 10, 100, 1000)  # candidates of the requests
MOST_NUMBERS = 1 << 20  # of one request; larger ones are left out
SEED = 0  # of what is drawn


def warmup_requests(folder: str, split: str, schema: Schema) -> list[dict[str, Any]]:
    """Requests as JSON has them, of the first rows of a split; docs/serving.md has their form.

    They are shown to whoever asks the scorer for an example, so they tell no user's history. Histories are as long as
    those of the row whose lists are longest, cut to max_length. Each of their values is drawn from another row's list
    of that column, of other users than the one that the request names, who is of yet another row. What is no history
    and no user is of the candidates, as it is in the rows: an item and a city of one row stay together.

    Raises InputError where the split is not there, or its rows cannot be read.
    """
    block = first_rows(folder, split, schema, feature_fields(schema), max(SIZES))
    if block is None:
        return []
    columns: dict[str, Column] = {}
    for field in sorted(block.columns, key=lambda field: field.max_length or np.inf):  # the longest of a column's lists
        columns[field.column] = block.columns[field]
    histories = {f.source for f in schema.features if f.kind == "sequence"}
    shared = [name for name in columns if name in histories or name == schema.user]
    requests = (
        _request(columns, shared, schema.user, size) for size in sorted({min(size, block.rows) for size in SIZES})
    )
    return [request for request in requests if request is not None]


def first_rows(folder: str, split: str, schema: Schema, fields: list[Field], count: int) -> RowBlock | None:
    """The first ``count`` rows of a split, or all of fewer; None where it has none. Raises InputError."""
    files = read_footers(find_files(folder, split))
    check_columns(files, fields, ignored=set())
    names, blocks = list(dict.fromkeys(field.column for field in fields)), []
    for file in files:
        for group, batch in read_batches(file, names, count):
            blocks.append(_block(batch.slice(0, count), schema, fields, f"'{file.path}', row group {group}"))
            count -= blocks[-1].rows
            if not count:
                return RowBlock.concatenate(blocks)
    return RowBlock.concatenate(blocks) if blocks else None


def _block(batch: pa.RecordBatch, schema: Schema, fields: list[Field], place: str) -> RowBlock:
    arrays = {
        name: arrow_values(name, batch.column(name), place, lambda column: nulls(batch.column(column)))
        for name in batch.schema.names
    }
    return build_row_block(schema, fields, arrays, place)


def _request(columns: dict[str, Column], shared: list[str], user: str, size: int) -> dict[str, Any] | None:
    """Of the first ``size`` rows; None where it would hold too much."""
    lengths = [column.lengths[:size] for name in shared if isinstance(column := columns[name], Ragged)]
    row = int(np.argmax(sum(lengths, np.zeros(size, np.int64))))
    of_one = _mixed({name: columns[name] for name in shared}, user, row)
    of_each = {name: _taken(column, slice(0, size)) for name, column in columns.items() if name not in of_one}
    parts = [*of_one.values(), *of_each.values()]
    if sum(part.values.size if isinstance(part, Ragged) else part.size for part in parts) > MOST_NUMBERS:
        return None
    return {
        "context": {name: _plain(part)[0] for name, part in of_one.items()},
        "candidates": {name: _plain(part) for name, part in of_each.items()},
    }


def _mixed(columns: dict[str, Column], user: str, row: int) -> dict[str, Column]:
    """One row with lists as long as those of ``row``, out of other rows; a list is empty where no other has any."""
    rng = np.random.default_rng(SEED)
    count = len(next(iter(columns.values()))) if columns else 0
    users = columns.get(user)
    whose = users if isinstance(users, np.ndarray) else np.arange(count)
    others = rng.permutation(count)
    named = next((other for other in others if whose[other] != whose[row]), row)
    givers = others[(whose[others] != whose[named]) & (others != row)]
    drawn: dict[str, Column] = {}
    for name, column in columns.items():
        if isinstance(column, Ragged):
            lengths = column.lengths
            filled = givers[lengths[givers] > 0]
            rows = np.resize(filled, lengths[row] if filled.size else 0)  # one after the other, and again where few
            values = column.values[column.offsets[rows] + rng.integers(lengths[rows])]
            drawn[name] = Ragged.from_lengths(values, np.array([rows.size]))
        else:
            drawn[name] = column[named : named + 1]
    return drawn


def _taken(column: Column, rows: slice) -> Column:
    return column.take(rows) if isinstance(column, Ragged) else column[rows]


def _plain(column: Column) -> list[Any]:
    """A number or a list of numbers for each row."""
    if isinstance(column, Ragged):
        return [bag.tolist() for bag in np.split(column.values, column.offsets[1:-1])]
    return column.tolist()
