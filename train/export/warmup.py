"""Warm-up requests of an exported model: rows of a split as requests of several sizes, for before traffic comes."""

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


def warmup_requests(folder: str, split: str, schema: Schema) -> list[dict[str, Any]]:
    """Requests as JSON has them, of the first rows of a split; docs/serving.md has their form.

    The user and the histories are those of the row whose lists are longest, all else is of the candidates. Lists are
    cut to max_length. Raises InputError where the split is not there, or its rows cannot be read.
    """
    block = _first_rows(folder, split, schema, max(SIZES))
    if block is None:
        return []
    columns: dict[str, Column] = {}
    for field in sorted(block.columns, key=lambda field: field.max_length or np.inf):  # the longest of a column's lists
        columns[field.column] = block.columns[field]
    sequences = {f.source for f in schema.features if f.kind == "sequence"}
    shared = [name for name in columns if name in sequences or name == schema.user]
    requests = (_request(columns, shared, size) for size in sorted({min(size, block.rows) for size in SIZES}))
    return [request for request in requests if request is not None]


def _first_rows(folder: str, split: str, schema: Schema, count: int) -> RowBlock | None:
    files = read_footers(find_files(folder, split))
    fields = feature_fields(schema)
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


def _request(columns: dict[str, Column], shared: list[str], size: int) -> dict[str, Any] | None:
    """Of the first ``size`` rows; None where it would hold too much."""
    lengths = [column.lengths[:size] for name in shared if isinstance(column := columns[name], Ragged)]
    row = int(np.argmax(sum(lengths, np.zeros(size, np.int64))))
    of_one = {name: _taken(columns[name], slice(row, row + 1)) for name in shared}
    of_each = {name: _taken(column, slice(0, size)) for name, column in columns.items() if name not in of_one}
    parts = [*of_one.values(), *of_each.values()]
    if sum(part.values.size if isinstance(part, Ragged) else part.size for part in parts) > MOST_NUMBERS:
        return None
    return {
        "context": {name: _plain(part)[0] for name, part in of_one.items()},
        "candidates": {name: _plain(part) for name, part in of_each.items()},
    }


def _taken(column: Column, rows: slice) -> Column:
    return column.take(rows) if isinstance(column, Ragged) else column[rows]


def _plain(column: Column) -> list[Any]:
    """A number or a list of numbers for each row."""
    if isinstance(column, Ragged):
        return [bag.tolist() for bag in np.split(column.values, column.offsets[1:-1])]
    return column.tolist()
