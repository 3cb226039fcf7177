"""Fuzzed run folders, as report reads them: run.json, config.yaml, evaluations, plan.json."""

import random
from pathlib import Path

from tests.fuzz.case import Case, Format
from tests.fuzz.formats.checkpoint import reading
from tests.fuzz.mutate.texts import mutate_json, mutate_yaml


def make(folder: Path, rng: random.Random) -> Case:
    run = folder / "runs" / "run"
    name = rng.choice(["run.json", "config.yaml", "evaluation/test.json", "plan.json"])
    (mutate_yaml if name.endswith("yaml") else mutate_json)(run / name, rng)
    report = rng.choice([["report", "runs/run"], ["report", "runs/run", "runs/other", "--markdown", "table.md"]])
    if name == "evaluation/test.json":
        return Case([report])
    predict = ["predict", "runs/run", "--out", "scores"]
    return Case([rng.choice([report, report, reading("run", rng), predict])], anywhere=name == "config.yaml")


FORMAT = Format("run", ["config.yaml", "data", "runs/run", "runs/other"], make)
