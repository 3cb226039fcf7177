"""Mutations of files of weights: safetensors, and archives of torch in their place."""

import json
import random
import struct
from pathlib import Path

from tests.fuzz.mutate import binary, payloads
from tests.fuzz.mutate.texts import as_json
from tests.fuzz.mutate.trees import mutated


def mutate_safetensors(path: Path, rng: random.Random) -> None:
    """Damage a safetensors file: bytes, the JSON of its header, its length, or make another kind of file of it."""
    data = path.read_bytes()
    kind = rng.random()
    if kind < 0.45:
        binary.mutate_file(path, rng)
        return
    if kind < 0.55:
        plant(path, rng)
        return
    length = struct.unpack("<Q", data[:8])[0]
    head = as_json(mutated(json.loads(data[8 : 8 + length]), rng, 1))
    claimed = rng.choice([len(head), len(head), len(head), 2**40, 2**63, 0])
    path.write_bytes(struct.pack("<Q", claimed) + head + data[8 + length :])


def plant(path: Path, rng: random.Random) -> None:
    """A hostile pickle or archive: the whole file, behind it, before it, or in the place of what it holds."""
    data = path.read_bytes()
    evil = rng.choice([payloads.pickled, payloads.torch_file])(path.parent, rng)
    starts = [n for n in range(len(data)) if data.startswith(b"PK\x03\x04", n)] or [0]
    at = rng.choice([0, starts[0], rng.choice(starts)])
    path.write_bytes(rng.choice([evil, data + evil, data[:at] + evil + data[at + len(evil) :], evil + data]))
