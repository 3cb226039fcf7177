"""Fuzzed exported models: every file of a version, with its digests as they were or put right again; current.json."""

import hashlib
import json
import random
from pathlib import Path

from tests.fuzz.case import Case, Format
from tests.fuzz.mutate import binary
from tests.fuzz.mutate.npy import mutate_npy, mutate_values
from tests.fuzz.mutate.texts import mutate_json, mutate_yaml, spoil_file
from tests.fuzz.mutate.weights import mutate_safetensors
from tests.fuzz.score_in_process import SCORER

VERSION = "models/m/000001"
PREDICT = ["predict", "--model", "models/m", "--data", "data", "--out", "scores"]


def correct(version: Path) -> None:
    """Have manifest.json say sizes and digests of the files as they are now, and READY that of manifest.json."""
    path = version / "manifest.json"
    manifest = json.loads(path.read_text())
    for name, entry in manifest["files"].items():
        if (version / name).is_file() and (version / name).stat().st_size < 1 << 24:
            data = (version / name).read_bytes()
            entry |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    path.write_text(json.dumps(manifest))
    seal(version)


def seal(version: Path) -> None:
    """Have READY say the digest of manifest.json."""
    if (version / "manifest.json").is_file() and (version / "manifest.json").stat().st_size < 1 << 24:
        (version / "READY").write_text(hashlib.sha256((version / "manifest.json").read_bytes()).hexdigest())


def make(folder: Path, rng: random.Random) -> Case:
    version, reading = folder / VERSION, rng.choice([PREDICT, [SCORER, "models/m"]])
    kind = rng.random()
    if kind < 0.1:
        mutate_json(version.parent / "current.json", rng)
        return Case([reading])
    path = rng.choice(sorted(p for p in version.rglob("*") if p.is_file()))
    before = path.read_bytes()
    if kind < 0.2:
        spoil_file(path, rng)
        return Case([reading], refused=f"{path.name} is no file of a model any more")
    if path.suffix == ".json":
        mutate_json(path, rng)
    elif path.suffix == ".yaml":
        mutate_yaml(path, rng)
    elif path.suffix == ".npy":
        rng.choice([mutate_npy, mutate_values])(path, rng)
    elif path.suffix == ".safetensors":
        mutate_safetensors(path, rng)
    else:
        binary.mutate_file(path, rng)
    if path.is_file() and path.stat().st_size == len(before) and path.read_bytes() == before:
        path.write_bytes(before[:-1])
    if path.name == "READY":
        return Case([reading])
    if rng.random() < 0.3:
        return Case([reading], refused=f"{path.name} is not what its digest says")
    (seal if path.name == "manifest.json" else correct)(version)
    return Case([reading])


FORMAT = Format("exported", ["data", "models/m"], make)
