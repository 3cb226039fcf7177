"""Frozen tables over ranks: python -m benchmarks.frozen [--case row_wise] [--case host] --stores FOLDER.

row_wise  SimTier, and SimTier with MAKE both ways, on a table whose rows lie on all ranks, beside TorchRec's row-wise
          EmbeddingCollection that fetches the same vectors, alone and with the same kernels behind it. Bytes are those
          that the kernel counts on the ranks' sockets, times those of the slowest rank. Contenders take turns.
host      every vector of a store read by two ranks, in placements host and replicated: what the ranks hold then, in
          proportional set size, and the time of SimTier on random rows.

The stores are built in --stores, and stay there. Run it while nothing else runs.
"""

import tempfile
from pathlib import Path
from typing import Any

import click

from benchmarks.harness import append, measurement, relative, results_option
from benchmarks.ranks import measure_on_ranks

ROWS, WIDTH, TARGETS, LENGTH, TIERS, HIDDEN = 1_000_000, 128, 64, 1000, 20, 36
RANKS = (2, 4)
PEER = "fetch"
HOST_ROWS, HOST_RANKS = 20_000_000, 2


def build_random_store(folder: Path, rows: int, dtype: str) -> str:
    """A frozen store of random vectors in ``folder``, built once; returns its path."""
    import numpy as np

    from embeddings.frozen.store import build_store

    path = folder / f"{rows}-{dtype}"
    if not path.is_dir():
        draw = np.random.default_rng(0)
        with tempfile.TemporaryFile(dir=folder) as spool:
            for start in range(0, rows, 1 << 16):
                block = draw.integers(-127, 128, (min(1 << 16, rows - start), WIDTH), dtype=np.int8)
                spool.write((block if dtype == "int8" else block.astype(np.float32)).data)
            spool.flush()
            kind = np.int8 if dtype == "int8" else np.float32
            vectors = np.memmap(spool, dtype=kind, mode="r", shape=(rows, WIDTH))
            build_store(str(path), np.arange(rows), vectors, dtype=dtype)
    return str(path)


def row_wise(stores: Path, ranks: int, rounds: int, rows: int = ROWS, targets: int = TARGETS) -> dict[str, Any]:
    """One row: contender -> milliseconds and bytes a step, and its ratios to the peer that only fetches."""
    paths = {dtype: build_random_store(stores, rows, dtype) for dtype in ("float32", "int8")}
    job = {"stores": paths, "rows": rows, "targets": targets, "length": LENGTH, "tiers": TIERS, "hidden": HIDDEN}
    measured = measure_on_ranks(ranks, "benchmarks.frozen.row_wise_rank", {**job, "rounds": rounds})
    contenders = {
        name: measurement(m["samples_ms"], bytes=m["bytes"], threads=1, ranks=ranks) for name, m in measured.items()
    }
    return {
        "case": "row_wise",
        "shapes": {
            "rows": rows,
            "width": WIDTH,
            "targets": targets,
            "length": LENGTH,
            "tiers": TIERS,
            "hidden": HIDDEN,
        },
        "ranks": ranks,
        "contenders": contenders,
        "bytes_of_peer": relative(contenders, PEER, "bytes", places=5),
        "time_of_peer": relative(contenders, PEER, "median", places=4),
    }


def host(stores: Path, rows: int = HOST_ROWS) -> dict[str, Any]:
    """One row: placement -> what each of two ranks holds, in bytes, after both have read every vector."""
    job = {"store": build_random_store(stores, rows, "int8")}
    held = {
        placement: measure_on_ranks(HOST_RANKS, "benchmarks.frozen.host_memory_rank", {**job, "placement": placement})
        for placement in ("host", "replicated")
    }
    size = rows * (WIDTH + 4)
    return {"case": "host", "rows": rows, "width": WIDTH, "dtype": "int8", "table_bytes": size, "held": held}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--stores", required=True, type=click.Path(path_type=Path), help="Where the stores are, or are built.")
@click.option("--case", "cases", multiple=True, type=click.Choice(["row_wise", "host"]), help="Default: both.")
@click.option("--rounds", default=7, show_default=True, help="Turns of each contender.")
@results_option("--results")
def main(stores: Path, cases: tuple[str, ...], rounds: int, results: Path) -> None:
    """Measure frozen tables over ranks. Appends to frozen.jsonl."""
    stores.mkdir(parents=True, exist_ok=True)
    if "row_wise" in cases or not cases:
        for ranks in RANKS:
            row = append("frozen", row_wise(stores, ranks, rounds), results)
            for name, c in row["contenders"].items():
                share = 1 / row["bytes_of_peer"][name]
                print(f"{ranks} ranks  {name:<32} {c['median']:>7.1f} ms  {c['bytes'] / 1e6:>8.2f} MB  1/{share:.0f}")
    if "host" in cases or not cases:
        row = append("frozen", host(stores), results)
        for placement, held in row["held"].items():
            whole = sum(h["grown_proportional_bytes"] for h in held) / 2**30
            print(f"{placement:<11} {whole:.2f} GiB for {row['table_bytes'] / 2**30:.2f} GiB of vectors, {held}")
