"""Writes tiny TAOBAO-MM folders in the true schema, for tests."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

IDS, LISTS = pa.int64(), pa.list_(pa.int64())
SAMPLES = {"label_0": pa.list_(pa.int8()), "129_1": IDS, "205": IDS}
USERS = {"129_1": IDS, **{f"130_{n}": IDS for n in range(1, 6)}, "150_2_180": LISTS, "151_2_180": LISTS}
ITEMS = {"205": IDS, "206": IDS, "213": IDS, "214": IDS}
VECTORS = {"205": IDS, "205_c": pa.list_(pa.int8())}
SHARDS = {"label_0": SAMPLES["label_0"], **USERS, **ITEMS}


def write(path: Path, kinds: dict[str, pa.DataType], rows: list[tuple], **options) -> None:
    """One parquet file with the columns of ``kinds``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [
        pa.array(list(values), kind) for values, kind in zip(zip(*rows, strict=True), kinds.values(), strict=True)
    ]
    pq.write_table(pa.table(dict(zip(kinds, columns, strict=True))), path, **options)


def impression(user: int, item: int, click: bool, items: list[int], categories: list[int]) -> tuple:
    """A row of a shard; its other ids follow from user and item."""
    profile = [user % 1009 * n for n in range(1, 6)]
    return ([int(not click), int(click)], user, *profile, items, categories, item, *item_ids(item)[1:])


def item_ids(item: int) -> tuple:
    """A row of the item features."""
    return (item, item // 3, item // 5, item // 7)


def write_vectors(source: Path, items: list[int]) -> None:
    vectors = [[(item + m) % 251 - 125 or 1 for m in range(128)] for item in items]
    write(source / "raw" / "scl_embedding_int8_p90.parquet", VECTORS, list(zip(items, vectors, strict=True)))


def write_shards(source: Path, splits: dict[str, list[list[tuple]]], **options) -> str:
    """``source`` with vectors of all target items but the first, and one shard for each list of rows of a split."""
    items = sorted({row[9] for shards in splits.values() for rows in shards for row in rows}, reverse=True)
    write_vectors(source, items[1:])
    for split, shards in splits.items():
        for number, rows in enumerate(shards):
            write(source / split / f"{split}-shard-{number:06d}.parquet", SHARDS, rows, **options)
    return str(source)


def write_tables(source: Path, splits: dict[str, list[tuple]]) -> str:
    """The tables that the same rows are joined from, in another order of users."""
    rows = [row for split in splits.values() for row in split]
    items = sorted({row[9] for row in rows}, reverse=True)
    write_vectors(source, items[1:])
    write(source / "raw" / "item_features.parquet", ITEMS, [item_ids(item) for item in items])
    for split, some in splits.items():
        write(source / "raw" / f"{split}_samples.parquet", SAMPLES, [(r[0], r[1], r[9]) for r in some])
        users = {r[1]: r[1:9] for r in some}
        write(source / "raw" / f"{split}_user_features.parquet", USERS, [users[u] for u in sorted(users)])
    return str(source)
