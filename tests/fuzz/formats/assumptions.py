"""Fuzzed assumptions about data that is not here."""

import random
from pathlib import Path

from tests.fuzz.case import Case, Format
from tests.fuzz.mutate.texts import mutate_yaml


def make(folder: Path, rng: random.Random) -> Case:
    mutate_yaml(folder / "assume.yaml", rng)
    ranks = rng.choice([["--world-size", 2], ["--world-size", 16], ["--find-world-size"]])
    return Case([["plan", "--config", "config.yaml", *ranks, "--hardware", "l4", "--assume", "assume.yaml"]])


FORMAT = Format("assumptions", ["config.yaml", "data/schema.yaml", "assume.yaml"], make)
