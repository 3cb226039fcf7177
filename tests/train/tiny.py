"""A tiny data folder for tests that train: every feature kind, two splits beside train, one frozen store."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embeddings.frozen.store import build_store
from recsys.schema import Schema, save_schema

USERS, ITEMS, WIDTH = 40, 60, 8

SCHEMA = Schema.model_validate(
    {
        "tables": {
            "user": {"num_embeddings": USERS, "ids": "identity"},
            "item": {"num_embeddings": ITEMS, "ids": "identity"},
            "tag": {"num_embeddings": 16},
        },
        "features": [
            {"name": "user", "kind": "id", "table": "user"},
            {"name": "item", "kind": "id", "table": "item"},
            {"name": "tags", "kind": "bag", "table": "tag"},
            {"name": "price", "kind": "dense"},
            {"name": "history", "kind": "sequence", "table": "item", "target": "item", "max_length": 6},
        ],
        "modalities": {"text": {"store": "frozen/text", "target": "item", "history": "history"}},
    }
)


def rows(count: int, seed: int) -> pa.Table:
    """Random rows; clicks lean on the item so that there is something to learn."""
    rng = np.random.default_rng(seed)
    item = rng.integers(0, ITEMS, count)
    length = rng.integers(0, 9, count)
    return pa.table(
        {
            "label": (rng.random(count) < 0.2 + 0.5 * (item % 2)).astype(np.int8),
            "user": rng.integers(0, USERS, count),
            "item": item,
            "tags": [rng.integers(0, 100, n).tolist() for n in rng.integers(0, 4, count)],
            "price": rng.random(count).astype(np.float32),
            "history": pa.array([rng.integers(0, ITEMS, n).tolist() for n in length], pa.list_(pa.int64())),
        },
    )


def write_split(folder: Path, split: str, table: pa.Table) -> None:
    (folder / split).mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / split / "part-0.parquet", row_group_size=64, write_page_checksum=True)


def make_data(folder: Path, train_rows: int = 512) -> Path:
    """Write the whole folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    save_schema(SCHEMA, str(folder))
    for seed, (split, count) in enumerate({"train": train_rows, "validation": 200, "test": 200}.items()):
        write_split(folder, split, rows(count, seed))
    vectors = np.random.default_rng(9).normal(size=(ITEMS, WIDTH)).astype(np.float32)
    build_store(str(folder / "frozen" / "text"), np.arange(ITEMS), vectors, dtype="float32")
    return folder


def interleaved(table: pa.Table, ranks: int, batch: int) -> pa.Table:
    """Rows in the order in which one rank must read them to see the global batches that ``ranks`` ranks see.

    Rank r of W reads rows [r n / W, (r + 1) n / W) in order, ``batch`` at a time; one rank reads W * batch at a time.
    """
    share = table.num_rows // ranks
    order = [
        r * share + start + i
        for start in range(0, share, batch)
        for r in range(ranks)
        for i in range(min(batch, share - start))
    ]
    return table.take(order)


def spoil(folder: Path, column: str, value: float, row: int, split: str = "train") -> None:
    """Put ``value`` into one row of a split."""
    path = folder / split / "part-0.parquet"
    table = pq.read_table(path)
    values = table[column].to_pylist()
    values[row] = value
    at = table.column_names.index(column)
    kind = table.schema.field(at)
    pq.write_table(
        table.set_column(at, kind, pa.array(values, kind.type)), path, row_group_size=64, write_page_checksum=True
    )
