"""Fuzzed metrics.jsonl: a run's rows, as report and a resumed run read them."""

import random
from pathlib import Path

from tests.fuzz.case import Case, Format
from tests.fuzz.mutate.texts import mutate_lines

RESUME = ["ctr", "--config", "config.yaml", "run.name=run", "run.resume=true", "train.max_steps=4"]


def make(folder: Path, rng: random.Random) -> Case:
    mutate_lines(folder / "runs" / "run" / "metrics.jsonl", rng)
    return Case([rng.choice([["report", "runs/run"], ["report", "runs/run", "runs/other"], RESUME])])


FORMAT = Format("metrics", ["config.yaml", "data", "runs/run", "runs/other"], make)
