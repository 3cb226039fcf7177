"""Fuzzed checkpoints: files of weights and their index, with checksums as they were or put right again."""

import json
import random
import zlib
from pathlib import Path

from tests.fuzz.case import Case, Format
from tests.fuzz.mutate import binary, payloads
from tests.fuzz.mutate.texts import mutate_json, spoil_file

CHECKPOINT = "step-00000003"
EVALUATE = ["evaluate", "runs/run", "--checkpoint", CHECKPOINT]
RESUME = ["ctr", "--config", "config.yaml", "run.name=run", "run.resume=true", "train.max_steps=4"]


def correct(checkpoint: Path) -> None:
    """Have progress.json say the sizes and checksums that the files have now."""
    path = checkpoint / "progress.json"
    progress = json.loads(path.read_text())
    for name in progress["files"]:
        if (checkpoint / name).is_file() and (checkpoint / name).stat().st_size < 1 << 24:
            data = (checkpoint / name).read_bytes()
            progress["files"][name] = [len(data), zlib.crc32(data)]
    path.write_text(json.dumps(progress))


def _plant(path: Path, rng: random.Random) -> None:
    """A hostile pickle or archive: the whole file, behind it, or in the place of what it holds."""
    data = path.read_bytes()
    evil = rng.choice([payloads.pickled, payloads.torch_file])(path.parent, rng)
    starts = [n for n in range(len(data)) if data.startswith(b"PK\x03\x04", n)] or [0]
    at = rng.choice([0, starts[0], rng.choice(starts)])
    path.write_bytes(rng.choice([evil, data + evil, data[:at] + evil + data[at + len(evil) :], evil + data]))


def make(folder: Path, rng: random.Random) -> Case:
    checkpoint = folder / "runs" / "run" / "checkpoints" / CHECKPOINT
    path = checkpoint / rng.choice([".metadata", "__0_0.distcp"])
    kind = rng.random()
    if kind < 0.1:
        best = checkpoint.parent / "best.json"
        mutate_json(best, rng)
        return Case(rng.choice([[["evaluate", "runs/run"]], [RESUME]]))
    if kind < 0.15:
        spoil_file(path, rng)
        return _refused(rng, f"{path.name} is no file of a checkpoint any more")
    if kind < 0.5:
        _plant(path, rng)
    else:
        binary.mutate_file(path, rng)
    if rng.random() < 0.4:
        return _refused(rng, f"{path.name} is not what its checksum says")
    correct(checkpoint)
    return Case([rng.choice([EVALUATE, RESUME])])


def _refused(rng: random.Random, why: str) -> Case:
    """A checkpoint that evaluate refuses, and that a resumed run passes over, saying so."""
    return Case([rng.choice([EVALUATE, RESUME])], refused=why, unless="is damaged")


FORMAT = Format("checkpoint", ["config.yaml", "data", "runs/run"], make)
