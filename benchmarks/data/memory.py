"""Memory of a process that reads a data set ten times as large as a limit: python -m benchmarks.data.memory.

Generates a shop whose training split is at least ten times a limit, on disk, then reads all of it in a process that may
not hold more than the limit. The limit is on data (RLIMIT_DATA: heap and private mappings), set once everything is
imported and counted from there, so it bounds what reading adds. The kernel enforces it: an allocation beyond fails.

The child allocates with plain malloc that gives freed blocks back: other allocators keep what they once had, up to
whatever limit there is, and would be measured instead of the reader.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.harness import append, results_option, run_command, show
from benchmarks.process_memory import limit_data, measure_in_child, status_bytes
from embeddings.errors import InputError

TIMES = 10  # the data set is at least so many times the limit
LIMIT_MIB = 80
BYTES_PER_ROW = 30  # on disk in the training split, for each row generated
SAMPLES = 200


def read_under_limit(
    data: str, limit_bytes: int, batch_size: int, shuffle_rows: int, keep: bool = False
) -> dict[str, Any]:
    """Read the training split in a child process under the limit.

    ``keep`` holds on to every batch, as a leak would. Returns the child's row. Raises InputError where it fails.
    """
    arguments = [data, str(limit_bytes), str(batch_size), str(shuffle_rows), str(int(keep))]
    failure = f"reading failed under a limit of {limit_bytes >> 20} MiB"
    return measure_in_child("benchmarks.data.memory", *arguments, failure=failure)


def child(data: str, limit_bytes: str, batch_size: str, shuffle_rows: str, keep: str) -> None:
    """Read all rows under the limit, and print the row's figures as JSON."""
    import torch

    from recsys.features.frozen_stores import open_stores
    from recsys.models.arch_config import arch_config
    from recsys.schema import load_schema
    from train.data.reader import RowReader

    torch.set_num_threads(1)
    schema = load_schema(data)
    stores = open_stores(schema, arch_config({}), data)
    before = limit_data(int(limit_bytes))
    base = status_bytes("RssAnon")
    reader = RowReader(
        data, "train", schema, stores, batch_size=int(batch_size), shuffle_rows=int(shuffle_rows), prefetch=2
    )
    every = max(1, reader.num_batches // SAMPLES)
    points, kept, rows, decoded = [], [], 0, 0
    for number, batch in enumerate(reader.epoch(0)):
        rows += len(batch)
        decoded += _bytes(batch)
        if int(keep):
            kept.append(batch)
        if number % every == 0:
            points.append((rows, status_bytes("RssAnon") - base, status_bytes("VmData") - before))
    resident, data_peak = [p[1] for p in points], max(p[2] for p in points)
    result = {
        "rows": rows,
        "decoded_bytes": decoded,
        "peak_bytes": max(resident),
        "peak_data_bytes": data_peak,
        "slope_bytes_per_mrow": round(slope([p[0] for p in points], resident) * 1e6),
        "resident_bytes": resident[:: max(1, len(resident) // 20)],
    }
    print(json.dumps(result), flush=True)


def slope(rows: Sequence[int], sizes: Sequence[int]) -> float:
    """Bytes a row by which memory grows over the second half of the points: a least-squares line."""
    import numpy as np

    half = len(rows) // 2
    x, y = np.asarray(rows[half:], float), np.asarray(sizes[half:], float)
    x -= x.mean()
    return float((x * y).sum() / max((x * x).sum(), 1.0))


def _bytes(batch: Any) -> int:
    tensors = [batch.labels, batch.dense, batch.users, batch.targets, *batch.extra.values()]
    for kjt in (batch.pooled, batch.sequence):
        if kjt is not None:
            tensors += [kjt.values(), kjt.lengths()]
    for rows in batch.frozen.values():
        tensors += [t for t in (rows.target, rows.history, rows.offsets, rows.bag_index) if t is not None]
    return sum(t.numel() * t.element_size() for t in tensors)


def disk_bytes(data: str) -> int:
    """Size of the training split's files."""
    return sum(f.stat().st_size for f in (Path(data) / "train").glob("*.parquet"))


def build_shop(out: str, rows: int) -> None:
    """Write the market unless it is there."""
    from recsys.datasets.shop.config import ShopConfig
    from recsys.datasets.shop.prepare import prepare

    if not (Path(out) / "prepare.json").is_file():
        prepare(out, ShopConfig(rows=rows, items=20_000))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--out", "folder", required=True, help="Where the data set is, or is written; it stays there.")
@click.option("--rows", type=int, help="Impressions to generate; default: enough for ten times the limit.")
@click.option("--limit-mib", default=LIMIT_MIB, show_default=True, help="What reading may add to the process.")
@click.option("--batch-size", default=1024, show_default=True)
@click.option("--shuffle-rows", default=16_384, show_default=True, help="As data.shuffle_rows.")
@results_option("--results")
def main(folder: str, rows: int | None, limit_mib: int, batch_size: int, shuffle_rows: int, results: Path) -> None:
    """Measure memory while reading a data set ten times the limit. Appends to memory.jsonl."""
    limit = limit_mib << 20
    build_shop(folder, rows or int(1.1 * TIMES * limit / BYTES_PER_ROW))
    size = disk_bytes(folder)
    if size < TIMES * limit:
        raise InputError(
            f"'{folder}' has {size:,} bytes to read, {TIMES} times the limit are {TIMES * limit:,}; raise --rows"
        )
    measured = read_under_limit(folder, limit, batch_size, shuffle_rows)
    shapes = {"batch_size": batch_size, "shuffle_rows": shuffle_rows}
    about = {"flags": sys.argv[1:], "shapes": shapes, "limit_bytes": limit, "disk_bytes": size}
    show(append("memory", {**about, **measured}, results))


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.data.memory"))
