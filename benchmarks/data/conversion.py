"""Memory of a process that converts TAOBAO-MM, larger than a limit: python -m benchmarks.data.conversion.

Generates joined shards and vectors in the data set's true schema, larger on disk than a limit, and converts them in a
process that may not hold more than the limit beyond what its imports hold. The kernel enforces it (RLIMIT_DATA).
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any
from unittest import mock

import click

from benchmarks.harness import append, results_option, run_command, show
from benchmarks.process_memory import limit_data, measure_in_child, status_bytes

LENGTH, WIDTH, ROWS_PER_USER = 1000, 128, 11  # as published
GROUP_ROWS = 2_000  # of a generated row group
VECTORS_AT_ONCE = 100_000


def build_shards(folder: str, rows: int, vectors: int) -> None:
    """Write ``rows`` train and a tenth as many test rows with full histories, and ``vectors``, to ``folder``."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    items = np.unique(rng.integers(-(2**63), 2**63 - 1, size=vectors))
    kind = pa.schema([("205", pa.int64()), ("205_c", pa.list_(pa.int8()))])
    source = Path(folder)
    (source / "raw").mkdir(parents=True)
    order = rng.permutation(items.size)
    table_file = source / "raw" / "scl_embedding_int8_p90.parquet"
    with pq.ParquetWriter(table_file, kind, compression="none", write_page_checksum=True) as writer:
        for start in range(0, order.size, VECTORS_AT_ONCE):
            ids = items[order[start : start + VECTORS_AT_ONCE]]
            values = pa.array(rng.integers(1, 127, size=ids.size * WIDTH, dtype=np.int8))
            lists = pa.ListArray.from_arrays(pa.array(np.arange(ids.size + 1, dtype=np.int32) * WIDTH), values)
            writer.write_table(pa.table([pa.array(ids), lists], schema=kind))
    for split, count in (("train", rows), ("test", rows // 10)):
        (source / split).mkdir()
        writer = None
        for start in range(0, count, GROUP_ROWS):
            table = _group(rng, items, start, min(GROUP_ROWS, count - start))
            writer = writer or pq.ParquetWriter(
                source / split / f"{split}-shard-000000.parquet",
                table.schema,
                compression="none",
                use_dictionary=False,
                write_page_checksum=True,
            )
            writer.write_table(table)
        assert writer is not None
        writer.close()


def _group(rng: Any, items: Any, start: int, rows: int) -> Any:
    import numpy as np
    import pyarrow as pa

    user = (start + np.arange(rows)) // ROWS_PER_USER
    users = user - user[0]
    histories = rng.choice(items, size=(users[-1] + 1, LENGTH))
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * LENGTH)
    click = rng.random(rows) < 0.137
    one_hot = pa.array(np.stack([~click, click], axis=1).astype(np.int8).ravel())
    target = rng.choice(items, size=rows)
    history = histories[users].ravel()
    columns = {
        "label_0": pa.ListArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int32) * 2), one_hot),
        "129_1": pa.array(user - 5),
        **{f"130_{n}": pa.array(user * n % 97 - 40) for n in range(1, 6)},
        "150_2_180": pa.ListArray.from_arrays(offsets, pa.array(history)),
        "151_2_180": pa.ListArray.from_arrays(offsets, pa.array(history % 1000)),
        "205": pa.array(target),
        **{name: pa.array(target % size) for name, size in (("206", 1000), ("213", 400), ("214", 30))},
    }
    return pa.table(columns)


def convert_under_limit(source: str, out: str, limit_bytes: int, keep: bool = False) -> dict[str, Any]:
    """Convert ``source`` in a child process under the limit. Returns its row. Raises InputError where it fails.

    ``keep`` holds on to every batch that is read, as a reader of whole tables would.
    """
    arguments = [source, out, str(limit_bytes), str(int(keep))]
    failure = f"converting failed under a limit of {limit_bytes >> 20} MiB"
    return measure_in_child("benchmarks.data.conversion", *arguments, failure=failure)


def child(source: str, out: str, limit_bytes: str, keep: str) -> None:
    """Convert under the limit, and print the row's figures as JSON."""
    from embeddings.files.parquet_batches import read_batches
    from recsys.datasets import taobao_mm
    from recsys.datasets.io import parquet_source

    kept = []

    def read_and_keep(*arguments: Any) -> Any:
        for group, batch in read_batches(*arguments):
            kept.append(batch)
            yield group, batch

    if int(keep):
        mock.patch.object(parquet_source, "read_batches", read_and_keep).start()
    limit_data(int(limit_bytes))
    base = status_bytes("RssAnon")
    sizes, over = [base], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            sizes.append(status_bytes("RssAnon"))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    started = time.monotonic()
    counts = taobao_mm.prepare(source, out, overwrite=True)
    seconds = time.monotonic() - started
    over.set()
    rows = sum(count.rows for count in counts.values())
    print(json.dumps({"rows": rows, "peak_bytes": max(sizes) - base, "seconds": round(seconds, 1)}), flush=True)


def disk_bytes(folder: str) -> int:
    """Size of all parquet files below ``folder``."""
    return sum(file.stat().st_size for file in Path(folder).rglob("*.parquet"))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--out", "folder", required=True, help="Where source and data folder are written; they stay there.")
@click.option("--rows", default=150_000, show_default=True, help="Train rows to generate: 16 KB each.")
@click.option("--vectors", default=2_000_000, show_default=True, help="Vectors to generate.")
@click.option("--limit-mib", default=384, show_default=True, help="What converting may add to the process.")
@results_option("--results")
def main(folder: str, rows: int, vectors: int, limit_mib: int, results: Path) -> None:
    """Measure memory while converting shards larger than the limit. Appends to conversion.jsonl."""
    source = str(Path(folder) / "source")
    if not Path(source).is_dir():
        build_shards(source, rows, vectors)
    measured = convert_under_limit(source, str(Path(folder) / "data"), limit_mib << 20)
    shapes = {"vectors": vectors, "length": LENGTH, "width": WIDTH}
    about = {"shapes": shapes, "limit_bytes": limit_mib << 20, "disk_bytes": disk_bytes(source)}
    show(append("conversion", {**about, **measured}, results))


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.data.conversion"))
