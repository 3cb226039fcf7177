"""Fuzzed checkpoints: files of weights and their index, with checksums as they were or put right again."""

import json
import random
import zlib
from pathlib import Path

from tests.fuzz.case import Case, Format
from tests.fuzz.mutate import binary
from tests.fuzz.mutate.texts import mutate_json, spoil_file
from tests.fuzz.mutate.weights import mutate_safetensors, plant

CHECKPOINT = "step-00000003"


def correct(checkpoint: Path) -> None:
    """Have progress.json say the sizes and checksums that the files have now."""
    path = checkpoint / "progress.json"
    progress = json.loads(path.read_text())
    for name in progress["files"]:
        if (checkpoint / name).is_file() and (checkpoint / name).stat().st_size < 1 << 24:
            data = (checkpoint / name).read_bytes()
            progress["files"][name] = [len(data), zlib.crc32(data)]
    path.write_text(json.dumps(progress))


def reading(run: str, rng: random.Random) -> list[object]:
    """A command that reads ``CHECKPOINT`` of a run: evaluate, or ctr that goes on with it."""
    evaluate = ["evaluate", f"runs/{run}", "--checkpoint", CHECKPOINT]
    resume = ["ctr", "--config", "config.yaml", f"run.name={run}", "run.resume=true", "train.max_steps=4"]
    return rng.choice([evaluate, resume])


def make(folder: Path, rng: random.Random) -> Case:
    run = rng.choice(["run", "early"])  # "early" is as earlier versions wrote it
    checkpoint = folder / "runs" / run / "checkpoints" / CHECKPOINT
    path = rng.choice(sorted(p for p in checkpoint.iterdir() if p.name != "progress.json"))
    kind = rng.random()
    if kind < 0.05:
        mutate_json(checkpoint.parent / "best.json", rng)
        return Case([["evaluate", f"runs/{run}"]])
    if kind < 0.1:
        spoil_file(path, rng)
        return _refused(run, rng, f"{path.name} is no file of a checkpoint any more")
    before = path.read_bytes()
    if kind < 0.35:
        plant(path, rng)
    elif path.suffix == ".json":
        mutate_json(path, rng)
    elif path.suffix == ".safetensors":
        mutate_safetensors(path, rng)
    else:
        binary.mutate_file(path, rng)
    if path.is_file() and path.stat().st_size == len(before) and path.read_bytes() == before:
        path.write_bytes(before[:-1])
    if rng.random() < 0.3:
        return _refused(run, rng, f"{path.name} is not what its checksum says")
    correct(checkpoint)
    return Case([reading(run, rng)])


def _refused(run: str, rng: random.Random, why: str) -> Case:
    """A checkpoint that evaluate refuses, and that a resumed run passes over, saying so."""
    return Case([reading(run, rng)], refused=why, unless="is damaged")


FORMAT = Format("checkpoint", ["config.yaml", "data", "runs/run", "runs/early"], make)
