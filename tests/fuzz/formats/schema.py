"""Fuzzed schemas: what the columns of a data folder mean."""

import random
from pathlib import Path

from tests.fuzz.case import Case, Format
from tests.fuzz.mutate.texts import mutate_yaml


def make(folder: Path, rng: random.Random) -> Case:
    mutate_yaml(folder / "data" / "schema.yaml", rng)
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
