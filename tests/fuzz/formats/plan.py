"""Fuzzed plan.json: where the tables go."""

import random
from pathlib import Path

from tests.fuzz.case import Case, Format
from tests.fuzz.mutate.texts import mutate_json


def make(folder: Path, rng: random.Random) -> Case:
    if rng.random() < 0.5:
        mutate_json(folder / "plan1.json", rng)
        return Case([["ctr", "--config", "config.yaml", "--plan", "plan1.json", "train.max_steps=1"]])
    mutate_json(folder / "plan.json", rng)
    ranks = ["--world-size", 2, "--hardware", "l4"]
    return Case([["plan", "--config", "config.yaml", *ranks, rng.choice(["--plan", "--diff"]), "plan.json"]])


FORMAT = Format("plan", ["config.yaml", "data", "plan.json", "plan1.json"], make)
