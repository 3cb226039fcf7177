"""A model to be served at any length of history: random rows, a few steps of SimTier + MAKE, exported; and requests."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from embeddings.errors import InputError

USERS, ITEMS, WIDTH = 100_000, 200_000, 128
ROWS = 2_000
LENGTH = 1_000


def build_model(folder: Path) -> str:
    """The folder of the exported model below ``folder``, made unless it is there."""
    model = folder / "models" / "market"
    if not (model / "current.json").is_file():
        _write_data(folder / "data")
        _write_config(folder)
        train = ["ctr", "--config", str(folder / "config.yaml")]
        _run("train", *train, "run.overwrite=true")
        _run("train", "export", str(folder / "runs" / "market"), "--out", str(model))
    return str(model)


def request(candidates: int, length: int, seed: int) -> dict[str, Any]:
    """One request as JSON has it: a user, a history of ``length`` items, ``candidates`` items."""
    import numpy as np

    rng = np.random.default_rng(seed)
    return {
        "context": {"user": int(rng.integers(USERS)), "history": rng.integers(ITEMS, size=length).tolist()},
        "candidates": {
            "item": rng.integers(ITEMS, size=candidates).tolist(),
            "category": rng.integers(500, size=candidates).tolist(),
            "price": rng.random(candidates).round(3).tolist(),
        },
    }


def _write_data(folder: Path) -> None:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from embeddings.frozen.store import build_store
    from recsys.schema import Schema, save_schema

    rng = np.random.default_rng(0)
    for split in ("train", "validation", "test"):
        (folder / split).mkdir(parents=True, exist_ok=True)
        values = pa.array(rng.integers(ITEMS, size=ROWS * LENGTH))
        offsets = pa.array(np.arange(ROWS + 1, dtype=np.int32) * LENGTH)
        table = pa.table(
            {
                "label": rng.integers(2, size=ROWS).astype(np.int8),
                "user": rng.integers(USERS, size=ROWS),
                "item": rng.integers(ITEMS, size=ROWS),
                "category": rng.integers(500, size=ROWS),
                "price": rng.random(ROWS).astype(np.float32),
                "history": pa.ListArray.from_arrays(offsets, values),
            }
        )
        pq.write_table(table, folder / split / "part.parquet", row_group_size=500, write_page_checksum=True)
    vectors = rng.standard_normal((ITEMS, WIDTH), np.float32)
    build_store(str(folder / "frozen" / "text"), np.arange(ITEMS), vectors, dtype="float32", overwrite=True)
    schema = {
        "tables": {
            "user": {"num_embeddings": USERS, "ids": "hash"},
            "item": {"num_embeddings": ITEMS, "ids": "hash"},
            "category": {"num_embeddings": 500, "ids": "identity"},
        },
        "features": [
            {"name": "user", "kind": "id", "table": "user"},
            {"name": "item", "kind": "id", "table": "item"},
            {"name": "category", "kind": "id", "table": "category"},
            {"name": "price", "kind": "dense"},
            {"name": "history", "kind": "sequence", "table": "item", "target": "item", "max_length": LENGTH},
        ],
        "modalities": {"text": {"store": "frozen/text", "target": "item", "history": "history"}},
    }
    save_schema(Schema.model_validate(schema), str(folder))


def _write_config(folder: Path) -> None:
    config = {
        "data": {"path": str(folder / "data"), "batch_size": 64, "eval_batch_size": 64},
        "model": {"multimodal": {"mode": "simtier+make"}},
        "train": {"max_steps": 20},
        "run": {"root": str(folder / "runs"), "name": "market"},
    }
    (folder / "config.yaml").write_text(json.dumps(config))


def _run(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"python -m {' '.join(words)} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
