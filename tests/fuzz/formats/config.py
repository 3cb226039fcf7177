"""Fuzzed configs: settings of ctr, make and scl in YAML."""

import random
from pathlib import Path

from tests.fuzz.case import Case, Format
from tests.fuzz.mutate.texts import mutate_yaml


def make(folder: Path, rng: random.Random) -> Case:
    if rng.random() < 0.25:
        mutate_yaml(folder / "scl.yaml", rng)
        return Case([["scl", "--config", "scl.yaml", "train.max_steps=1", "train.epochs=1"]], anywhere=True)
    mutate_yaml(folder / "config.yaml", rng)
    check = ["check", "--config", "config.yaml"]
    kind = rng.random()
    if kind < 0.4:
        return Case([check], anywhere=True)
    if kind < 0.8:
        short = ["train.max_steps=1", "train.epochs=1"] if rng.random() < 0.5 else []
        return Case([check, ["ctr", "--config", "config.yaml", *short]], anywhere=True)
    if kind < 0.9:
        return Case([["plan", "--config", "config.yaml", "--world-size", 2, "--hardware", "l4"]], anywhere=True)
    return Case([["make", "--config", "config.yaml", "train.max_steps=1"]], anywhere=True)


FORMAT = Format("config", ["config.yaml", "scl.yaml", "data", "pairs"], make)
