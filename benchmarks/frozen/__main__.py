"""Frozen tables over ranks: python -m benchmarks.frozen [--case row_wise] [--case host] --stores FOLDER.

row_wise  SimTier, and SimTier with MAKE both ways, on a table whose rows lie on all ranks, beside TorchRec's row-wise
          EmbeddingCollection that fetches the same vectors, alone and with the same kernels behind it. Bytes are those
          that the kernel counts on the ranks' sockets, times those of the slowest rank. Contenders take turns.
host      every vector of a store read by two ranks, in placements host and replicated: what the ranks hold then, in
          proportional set size, and the time of SimTier on random rows.

The stores are built in --stores, and stay there. Run it while nothing else runs.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from embeddings.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
ROWS, WIDTH, TARGETS, LENGTH, TIERS, HIDDEN = 1_000_000, 128, 64, 1000, 20, 36
RANKS = (2, 4)
PEER = "fetch"
HOST_ROWS, HOST_RANKS = 20_000_000, 2


def make_store(folder: Path, rows: int, dtype: str) -> str:
    """Random vectors, built once; returns the store's path."""
    import numpy as np

    from embeddings.frozen.store import build_store

    path = folder / f"{rows}-{dtype}"
    if not path.is_dir():
        draw = np.random.default_rng(0)
        with tempfile.TemporaryFile(dir=folder) as spool:
            for start in range(0, rows, 1 << 16):
                block = draw.integers(-127, 128, (min(1 << 16, rows - start), WIDTH), dtype=np.int8)
                spool.write(block if dtype == "int8" else block.astype(np.float32))
            spool.flush()
            kind = np.int8 if dtype == "int8" else np.float32
            vectors = np.memmap(spool, dtype=kind, mode="r", shape=(rows, WIDTH))
            build_store(str(path), np.arange(rows), vectors, dtype=dtype)
    return str(path)


def launch(module: str, ranks: int, job: dict[str, Any]) -> Any:
    """What rank 0 of ``module`` wrote as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
        done = subprocess.run(
            [*command, "-m", module, json.dumps({**job, "out": str(out)})],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            print(done.stderr, file=sys.stderr)
            raise InputError(f"the run on {ranks} ranks ended with status {done.returncode}; see its words above")
        return json.loads(out.read_text())


def row_wise(stores: Path, ranks: int, rounds: int, rows: int = ROWS, targets: int = TARGETS) -> dict[str, Any]:
    """One row: contender -> milliseconds and bytes a step, and its ratios to the peer that only fetches."""
    from benchmarks.harness import measurement

    paths = {dtype: make_store(stores, rows, dtype) for dtype in ("float32", "int8")}
    job = {"stores": paths, "rows": rows, "targets": targets, "length": LENGTH, "tiers": TIERS, "hidden": HIDDEN}
    found = launch("benchmarks.frozen.row_wise_rank", ranks, {**job, "rounds": rounds})
    contenders = {
        name: measurement(f["samples_ms"], bytes=f["bytes"], threads=1, ranks=ranks) for name, f in found.items()
    }
    peer = contenders[PEER]
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
        "bytes_of_peer": {n: round(c["bytes"] / peer["bytes"], 5) for n, c in contenders.items()},
        "time_of_peer": {n: round(c["median"] / peer["median"], 4) for n, c in contenders.items()},
    }


def host(stores: Path, rows: int = HOST_ROWS) -> dict[str, Any]:
    """One row: placement -> what each of two ranks holds, in bytes, after both have read every vector."""
    path = make_store(stores, rows, "int8")
    held = {
        placement: launch("benchmarks.frozen.host_memory_rank", HOST_RANKS, {"store": path, "placement": placement})
        for placement in ("host", "replicated")
    }
    size = rows * (WIDTH + 4)
    return {"case": "host", "rows": rows, "width": WIDTH, "dtype": "int8", "table_bytes": size, "held": held}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--stores", required=True, type=click.Path(path_type=Path), help="Where the stores are, or are built.")
@click.option("--case", "cases", multiple=True, type=click.Choice(["row_wise", "host"]), help="Default: both.")
@click.option("--rounds", default=7, show_default=True, help="Turns of each contender.")
@click.option("--results", default=None, help="Folder for the rows; default: benchmarks/results.")
def main(stores: Path, cases: tuple[str, ...], rounds: int, results: str | None) -> None:
    """Measure frozen tables over ranks. Appends to frozen.jsonl."""
    from benchmarks.harness import RESULTS, append

    stores.mkdir(parents=True, exist_ok=True)
    folder = Path(results) if results else RESULTS
    if "row_wise" in cases or not cases:
        for ranks in RANKS:
            row = append("frozen", row_wise(stores, ranks, rounds), folder)
            for name, c in row["contenders"].items():
                share = 1 / row["bytes_of_peer"][name]
                print(f"{ranks} ranks  {name:<32} {c['median']:>7.1f} ms  {c['bytes'] / 1e6:>8.2f} MB  1/{share:.0f}")
    if "host" in cases or not cases:
        row = append("frozen", host(stores), folder)
        for placement, held in row["held"].items():
            whole = sum(h["grown_proportional_bytes"] for h in held) / 2**30
            print(f"{placement:<11} {whole:.2f} GiB for {row['table_bytes'] / 2**30:.2f} GiB of vectors, {held}")


if __name__ == "__main__":
    from benchmarks.harness import run_command

    sys.exit(run_command(main, "benchmarks.frozen"))
