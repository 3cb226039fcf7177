"""Small data folders for the reader's tests, and a naive Python reading of them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embeddings.frozen.store import FrozenStore, build_store
from recsys.schema import Schema

USERS, ITEMS, TAGS, SEASONS = 7, 16, 11, 4
MAX_LENGTH = 5
STORED = (3, -5, 40, 7, 8, 1 << 40)  # raw item ids that have a vector

SCHEMA = Schema.model_validate(
    {
        "timestamp": "time",
        "tables": {
            "user": {"num_embeddings": USERS},
            "item": {"num_embeddings": ITEMS},
            "tag": {"num_embeddings": TAGS},
            "season": {"num_embeddings": SEASONS, "ids": "identity"},
        },
        "features": [
            {"name": "user", "kind": "id", "table": "user"},
            {"name": "price", "kind": "dense"},
            {"name": "tags", "kind": "bag", "table": "tag", "column": "item_tags", "max_length": 2},
            {"name": "item", "kind": "id", "table": "item"},
            {"name": "season", "kind": "id", "table": "season"},
            {"name": "history", "kind": "sequence", "table": "item", "target": "item", "max_length": MAX_LENGTH},
            {"name": "age", "kind": "dense"},
        ],
        "modalities": {"image": {"store": "frozen/image", "target": "item", "history": "history", "max_missing": 1}},
    }
)


def make_rows(count: int, seed: int = 0, first: int = 0) -> list[dict]:
    """Rows whose ``time`` numbers them from ``first`` on."""
    r = np.random.default_rng(seed)
    ids = [*STORED, -(1 << 62), 12, 15, 16, 17, -1]
    return [
        {
            "label": int(r.integers(2)),
            "user": int(r.integers(-20, 20)),
            "price": float(r.random()),
            "item_tags": r.integers(-99, 99, r.integers(4)).tolist(),
            "item": ids[r.integers(len(ids))],
            "season": int(r.integers(SEASONS)),
            "history": [ids[i] for i in r.integers(len(ids), size=r.integers(9))],
            "age": int(r.integers(90)),
            "time": first + i,
        }
        for i in range(count)
    ]


ARROW = pa.schema(
    {
        "label": pa.int8(),
        "user": pa.int64(),
        "price": pa.float64(),
        "item_tags": pa.list_(pa.int64()),
        "item": pa.int64(),
        "season": pa.int32(),
        "history": pa.list_(pa.int64()),
        "age": pa.uint8(),
        "time": pa.int64(),
    }
)


def write_rows(path: Path, rows: list[dict], group: int = 4, types: pa.Schema = ARROW, **options) -> None:
    """One parquet file with row groups of ``group`` rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"write_page_checksum": True, **options}
    pq.write_table(pa.Table.from_pylist(rows, types), path, row_group_size=group, **options)


def write_split(folder: Path, sizes: list[int], group: int = 4, split: str = "train") -> list[dict]:
    """Files of ``sizes`` rows; returns all rows in order."""
    rows: list[dict] = []
    for i, size in enumerate(sizes):
        part = make_rows(size, seed=i, first=len(rows))
        write_rows(folder / split / f"part-{i}.parquet", part, group)
        rows += part
    return rows


def make_store(folder: Path) -> FrozenStore:
    vectors = np.random.default_rng(0).standard_normal((len(STORED), 4))
    return build_store(str(folder / "frozen" / "image"), np.array(STORED), vectors, dtype="float32")


def expected(row: dict) -> dict:
    """What one row becomes, in plain Python."""
    history, tags = row["history"][-MAX_LENGTH:], row["item_tags"][-2:]
    store = sorted(STORED)

    def frozen(item: int) -> int:
        return store.index(item) if item in store else -1

    return {
        "label": row["label"],
        "user": row["user"],
        "target": row["item"],
        "time": row["time"],
        "dense": [np.float32(row["price"]).item(), float(row["age"])],
        "pooled": {"user": [row["user"] % USERS], "tags": [t % TAGS for t in tags], "season": [row["season"]]},
        "sequence": {"item": [row["item"] % ITEMS], "history": [i % ITEMS for i in history]},
        "image": (frozen(row["item"]), [frozen(i) for i in history]),
    }


def unpacked(batch) -> list[dict]:
    """The rows of a Batch, in the form of ``expected``."""
    image, result = batch.frozen["image"], []
    jagged = {name: getattr(batch, name).to_dict() for name in ("pooled", "sequence")}
    for b in range(len(batch)):
        u = b if image.bag_index is None else image.bag_index[b]
        row = {
            "label": batch.labels[b].item(),
            "user": batch.users[b].item(),
            "target": batch.targets[b].item(),
            "time": batch.extra["time"][b].item(),
            "dense": batch.dense[b].tolist(),
            "image": (image.target[b].item(), image.history[image.offsets[u] : image.offsets[u + 1]].tolist()),
        }
        for name, tensors in jagged.items():
            row[name] = {k: t.values()[t.offsets()[b] : t.offsets()[b + 1]].tolist() for k, t in tensors.items()}
        result.append(row)
    return result


def times(batches) -> list[list[int]]:
    """The row numbers of each batch, without repeated rows."""
    return [batch.extra["time"][batch.repeated :].tolist() for batch in batches]


def retyped(**types: pa.DataType) -> pa.Schema:
    """The types of ``ARROW`` with some columns of another."""
    return pa.schema([f.with_type(types.get(f.name, f.type)) for f in ARROW])


def flat(batches: list[list[int]]) -> list[int]:
    return [t for batch in batches for t in batch]


# ranks, rows a step and rank, reading threads
Cut = tuple[int, int, int]


def steps(reader, cut: Cut, shuffle_rows: int, epoch: int, state: dict | None = None, limit: int | None = None):
    """For each step from ``state`` on, the rows of all ranks, rank by rank; and the position then."""
    ranks, batch_size, workers = cut
    per_rank, states, at_ends = [], [], []
    for rank in range(ranks):
        row_reader = reader(
            batch_size=batch_size, workers=workers, world_size=ranks, rank=rank, shuffle_rows=shuffle_rows, seed=3
        )
        if state:
            row_reader.load_state_dict(state)
        start = row_reader.batch_index if state and state["epoch"] == epoch else 0
        batches = row_reader.epoch(epoch, start)
        stop = row_reader.num_batches if limit is None else min(start + limit, row_reader.num_batches)
        per_rank.append([next(batches).extra["time"].tolist() for _ in range(start, stop)])
        batches.close()
        states.append(row_reader.state_dict(epoch, stop))
        at_ends.append(stop == row_reader.num_batches)
    assert all(s == states[0] for s in states) and len({len(p) for p in per_rank}) == 1
    for step in zip(*per_rank, strict=True):
        assert len({len(rows) for rows in step}) == 1, "ranks have batches of one size"
    return [[list(rows) for rows in step] for step in zip(*per_rank, strict=True)], states[0]
