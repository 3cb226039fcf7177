"""Fuzzed folders of a MAKE that was trained alone: about.json, and weights as torch writes them."""

import random
from pathlib import Path

from tests.fuzz.case import Case, Format
from tests.fuzz.mutate import binary, payloads
from tests.fuzz.mutate.texts import mutate_json, spoil_file

TAKE = ["ctr", "--config", "config.yaml", "model.multimodal.mode=make", "model.multimodal.make.run=runs/makes",
        "train.max_steps=1"]  # fmt: skip


def make(folder: Path, rng: random.Random) -> Case:
    exported = folder / "runs" / "makes" / "text" / "make"
    weights = [exported / "epoch-0.pt", exported / "epoch-1.pt"]
    kind = rng.random()
    if kind < 0.45:
        mutate_json(exported / "about.json", rng)
    elif kind < 0.65:
        for path in weights:
            path.write_bytes(payloads.torch_file(exported, rng))
    elif kind < 0.95:
        for path in weights:
            binary.mutate_file(path, rng)
    else:
        for path in weights:
            spoil_file(path, rng)
    epoch = rng.choice([[], ["model.multimodal.make.epoch=0"], ["model.multimodal.make.epoch=1"]])
    return Case([[*TAKE, *epoch]])


FORMAT = Format("make", ["config.yaml", "data", "runs/makes"], make)
