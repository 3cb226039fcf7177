"""Warm-up requests of an exported model: rows of a split as requests of several sizes, for before traffic comes."""

from typing import Any

import numpy as np
import pyarrow as pa

from embeddings.errors import InputError
from embeddings.files.parquet_batches import read_batches
from embeddings.files.parquet_footer import read_footers
from recsys.features.columns import feature_field
from recsys.schema import Schema
from train.data.parquet_files import find_files

SIZES = (1, 10, 100, 1000)  # candidates of the requests


def warmup_requests(folder: str, split: str, schema: Schema) -> list[dict[str, Any]]:
    """Requests as JSON has them, none where the split is not there: see docs/serving.md.

    The user and the histories are those of one row, all else is of the candidates.
    """
    try:
        files = read_footers(find_files(folder, split))
    except InputError:
        return []
    columns = list(dict.fromkeys(feature_field(f).column for f in schema.features))
    shared = {feature_field(f).column for f in schema.features if f.kind == "sequence"} | {schema.user}
    rows: list[pa.RecordBatch] = []
    wanted = max(SIZES)
    for file in files:
        for _, batch in read_batches(file, columns, wanted):
            rows.append(batch.slice(0, wanted - sum(part.num_rows for part in rows)))
            if sum(part.num_rows for part in rows) == wanted:
                return _requests(rows, shared)
    return _requests(rows, shared)


def _requests(rows: list[pa.RecordBatch], shared: set[str]) -> list[dict[str, Any]]:
    table = pa.Table.from_batches(rows)
    requests = []
    for size in sorted({min(size, table.num_rows) for size in SIZES}):
        row = int(np.argmax([_length(table, shared, i) for i in range(size)])) if size else 0
        requests.append(
            {
                "context": {name: table[name][row].as_py() for name in table.column_names if name in shared},
                "candidates": {
                    name: table[name].slice(0, size).to_pylist() for name in table.column_names if name not in shared
                },
            }
        )
    return requests


def _length(table: pa.Table, shared: set[str], row: int) -> int:
    """Values of the lists that a row shares with all."""
    lists = [name for name in table.column_names if name in shared and pa.types.is_list(table.schema.field(name).type)]
    return sum(len(table[name][row]) for name in lists)
