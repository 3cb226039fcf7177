"""Fuzzed folders of a MAKE that was trained alone: about.json, and weights as torch writes them."""

import random
from pathlib import Path

from tests.fuzz.case import Case, Format
from tests.fuzz.mutate import payloads
from tests.fuzz.mutate.texts import mutate_json, spoil_file
from tests.fuzz.mutate.weights import mutate_safetensors

TAKE = ["ctr", "--config", "config.yaml", "model.multimodal.mode=make", "model.multimodal.make.run=runs/makes",
        "train.max_steps=1"]  # fmt: skip


def make(folder: Path, rng: random.Random) -> Case:
    exported = folder / "runs" / "makes" / "text" / "make"
    weights = sorted(exported.glob("epoch-*"))
    kind = rng.random()
    if kind < 0.45:
        mutate_json(exported / "about.json", rng)
    for path in weights if kind >= 0.45 else ():
        if kind < 0.6:  # as earlier versions wrote them
            path.unlink()
            path.with_suffix(".pt").write_bytes(payloads.torch_file(exported, rng))
        elif kind < 0.95:
            mutate_safetensors(path, rng)
        else:
            spoil_file(path, rng)
    epoch = rng.choice([[], ["model.multimodal.make.epoch=0"], ["model.multimodal.make.epoch=1"]])
    return Case([[*TAKE, *epoch]])


FORMAT = Format("make", ["config.yaml", "data", "runs/makes"], make)
