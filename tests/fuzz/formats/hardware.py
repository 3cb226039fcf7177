"""Fuzzed descriptions of hardware."""

import random
from pathlib import Path

from tests.fuzz.case import Case, Format
from tests.fuzz.mutate.texts import mutate_yaml


def make(folder: Path, rng: random.Random) -> Case:
    mutate_yaml(folder / "hardware.yaml", rng)
    if rng.random() < 0.1:
        return Case([["ctr", "--config", "config.yaml", "sharding.hardware=hardware.yaml", "train.max_steps=1"]])
    ranks = rng.choice([["--world-size", 1], ["--world-size", 2], ["--world-size", 16], ["--find-world-size"]])
    more = rng.choice([[], [], ["--explain", "item"], ["--every-rank"], ["--local-world-size", 2]])
    return Case([["plan", "--config", "config.yaml", *ranks, "--hardware", "hardware.yaml", *more]])


FORMAT = Format("hardware", ["config.yaml", "data", "hardware.yaml"], make)
