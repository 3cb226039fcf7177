"""Collisions of a table with many distinct ids: python -m benchmarks.data.large_tables --out FOLDER.

Generates ids that are multiples of 4096, counts collisions of a table as ``python -m train collisions`` does, in a
process of its own, and compares with counting every id; then measures what taking an id to its row costs the reader.
"""

import json
import resource
import shutil
import statistics
import sys
import time
from pathlib import Path

import click
import numpy as np

from benchmarks.harness import append, results_option, run_command, show
from benchmarks.process_memory import measure_in_child
from embeddings.errors import InputError

STEP = 4096
FILE_ROWS = 1_000_000
TABLE = "item"


def ids_at(places: np.ndarray, distinct: int) -> np.ndarray:
    """Distinct ids in an order without locality, one for each of ``places`` from 0 to ``distinct`` - 1."""
    factor = next(f for f in range(2_654_435_761, 2_654_435_961) if np.gcd(f, distinct) == 1)
    return places * factor % distinct * STEP  # below 2^63 for less than 2^31 ids


def build_ids(out: str, distinct: int, rows: int) -> None:
    """Every id once, and beside it one that is drawn with a long tail, unless they are there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from recsys.schema import Schema, save_schema

    folder, about = Path(out), {"distinct": distinct, "rows": rows}
    if (folder / "made.json").is_file() and json.loads((folder / "made.json").read_text()) == about:
        return
    if folder.exists() and not (folder / "made.json").is_file() and any(folder.iterdir()):
        raise InputError(f"'{out}' is no folder of this benchmark; name another one with --out")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "train").mkdir(parents=True)
    (folder / "made.json").write_text("{}")
    random = np.random.default_rng(0)
    for start in range(0, distinct, FILE_ROWS):
        places = np.arange(start, min(start + FILE_ROWS, distinct))
        again = (distinct * random.random(places.size) ** 3).astype(np.int64)
        columns = {"item": ids_at(places, distinct), "again": ids_at(again, distinct)}
        path = folder / "train" / f"{start // FILE_ROWS:05}.parquet"
        pq.write_table(pa.table(columns), path, use_dictionary=False, write_page_checksum=True)
    tables = {TABLE: {"num_embeddings": rows, "ids": "hash"}}
    features = [{"name": name, "kind": "id", "table": TABLE} for name in ("item", "again")]
    save_schema(Schema.model_validate({"tables": tables, "features": features, "user": "item"}), out)
    (folder / "made.json").write_text(json.dumps(about))


def count_collisions(out: str) -> dict:
    """Counts and shares as ``python -m train collisions`` has them, in a child process; its seconds, its peak bytes."""
    failure = f"counting the ids in '{out}' failed"
    return measure_in_child("benchmarks.data.large_tables", out, failure=failure, environment={})


def child(out: str) -> None:
    """Count, and print the row's figures as JSON."""
    from recsys.features.read_counters import ReadCounters
    from recsys.schema import load_schema
    from train.data.stats.table_collisions import measure_collisions

    started = time.perf_counter()
    sample, collisions = measure_collisions(out, "train", load_schema(out), ReadCounters())[TABLE]
    distinct, error = sample.distinct()
    shares = {way: {k: round(v, 7) for k, v in vars(shared).items()} for way, shared in collisions.items()}
    seconds, peak = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    about = {"lookups": sample.seen, "distinct": round(distinct), "distinct_error": round(error), "shares": shares}
    print(json.dumps({**about, "seconds": round(seconds, 1), "peak_bytes": peak}), flush=True)


def true_shares(distinct: int, rows: int) -> dict[str, float]:
    """Share of ids that share a row, by counting all of them."""
    from recsys.features.table_rows import table_rows
    from recsys.schema import TableSchema

    result = {}
    for way in ("modulo", "hash"):
        ids = ids_at(np.arange(distinct), distinct)
        taken = np.empty_like(ids)  # of its own: table_rows reads the ids again after it has begun to write
        table_rows(ids, TableSchema(num_embeddings=rows, ids=way), taken)
        del ids
        taken.sort()
        new = np.concatenate([[True], taken[1:] != taken[:-1]])
        alone = np.count_nonzero(new & np.concatenate([new[1:], [True]]))
        result[way] = round(1 - alone / distinct, 7)
    return result


def mapping_speeds(rows: int, repeats: int = 200, count: int = 200_000) -> dict[str, float]:
    """Way -> million ids a second that are taken to their rows: one thread, a batch in cache, median of repeats."""
    from recsys.features.table_rows import table_rows
    from recsys.schema import TableSchema

    ids = np.random.default_rng(1).integers(0, 1 << 62, count)
    out, result = np.empty_like(ids), {}
    for way in ("modulo", "hash", "zch"):
        table, samples = TableSchema(num_embeddings=rows, ids=way), []
        for _ in range(repeats):
            started = time.perf_counter()
            table_rows(ids, table, out)
            samples.append(time.perf_counter() - started)
        result[way] = round(count / statistics.median(samples) / 1e6, 1)
    return result


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--out", "folder", required=True, help="Where the ids are, or are written; they stay there.")
@click.option("--distinct", default=100_000_000, show_default=True, type=click.IntRange(1000, (1 << 31) - 1))
@click.option("--rows", default=1 << 27, show_default=True, help="Rows of the table.", type=click.IntRange(1))
@results_option("--results")
def main(folder: str, distinct: int, rows: int, results: Path) -> None:
    """Count collisions of many distinct ids. Appends to large_tables.jsonl."""
    build_ids(folder, distinct, rows)
    counts = count_collisions(folder)
    about = {"shapes": {"distinct": distinct, "rows": rows, "step": STEP}}
    truth = {"true_shares": true_shares(distinct, rows), "million_ids_per_s": mapping_speeds(rows)}
    show(append("large_tables", {**about, **counts, **truth}, results))


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.data.large_tables"))
