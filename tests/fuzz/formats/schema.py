"""Fuzzed schemas: what the columns of a data folder mean."""

import random
import re
from pathlib import Path

from tests.fuzz.case import Case, Format
from tests.fuzz.mutate.texts import mutate_yaml

MANY_ROWS = rb"(num_embeddings\W{1,4}\d{6})\d{1,3}\b"  # of a table that fits into memory, and a run rightly builds


def make(folder: Path, rng: random.Random) -> Case:
    path = folder / "data" / "schema.yaml"
    mutate_yaml(path, rng)
    if path.is_file() and path.stat().st_size < 1 << 24:
        path.write_bytes(re.sub(MANY_ROWS, rb"\1", path.read_bytes()))
    check = ["check", "--config", "config.yaml"]
    kind = rng.random()
    if kind < 0.35:
        return Case([check])
    if kind < 0.7:
        return Case([check, ["ctr", "--config", "config.yaml", "train.max_steps=1"]])
    if kind < 0.8:
        return Case([["evaluate", "runs/run"]])
    if kind < 0.9:
        return Case([["collisions", "--config", "config.yaml"]])
    return Case([["plan", "--config", "config.yaml", "--world-size", 2, "--hardware", "l4"]])


FORMAT = Format("schema", ["config.yaml", "data", "runs/run"], make)
