"""Fuzzed progress.json: what a checkpoint says of itself."""

import random
from pathlib import Path
from typing import Any

from tests.fuzz.case import Case, Format
from tests.fuzz.formats.checkpoint import CHECKPOINT, reading
from tests.fuzz.mutate.texts import mutate_json
from tests.fuzz.mutate.trees import hostile

_SECTIONS = ["reader", "stores", "plan", "files", "metrics", "config", "schema"]


def _one_section(rng: random.Random) -> Any:
    """A change in a section that the run needs, rather than anywhere."""
    section = rng.choice(_SECTIONS)

    def change(progress: dict[str, Any]) -> None:
        box = progress.get(section)
        if isinstance(box, dict) and box and rng.random() < 0.5:
            box[rng.choice(sorted(box))] = hostile(rng)

    return change


def make(folder: Path, rng: random.Random) -> Case:
    run = rng.choice(["run", "run", "early"])
    path = folder / "runs" / run / "checkpoints" / CHECKPOINT / "progress.json"
    mutate_json(path, rng, _one_section(rng))
    return Case([reading(run, rng)])


FORMAT = Format("progress", ["config.yaml", "data", "runs/run", "runs/early"], make)
