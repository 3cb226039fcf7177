"""Fuzzed overrides: key.sub=value on the command line, for every setting there is."""

import json
import random
from pathlib import Path
from typing import Any

import yaml

from tests.fuzz.case import Case, Format
from tests.fuzz.corpus import CONFIG
from tests.fuzz.mutate import binary, payloads
from tests.fuzz.mutate.trees import DATE, DEEP, DIGITS, WORDS, hostile, places

_ODD_KEYS = (
    """
. .. a data data. .data data..path data[0] data.path.x model.over_arch[0] model.over_arch.0 run.name. ${a} __class__ ? 1
make.train.epochs model.modalities.text.mode model.modalities.x sharding.tables.item.compute_kernels sharding.tables.x
""".split()
    + ["", "\n", "a" * 5000, "a." * 5000]
)
_PLAIN = ["1", "2", "8", "true", "none", "vector", "[4, 4]", "{a: 1}", "'q'", "a #b", "x: y", "@x", "*a", "20241130"]
_LONGEST = 100_000  # characters of one word that a command line can hold


def _settings(folder: Path) -> list[str]:
    """Every setting's key with dots, as the resolved config has them."""
    from train.ctr.config import load_config

    def keys(tree: Any, prefix: str) -> list[str]:
        below = [keys(value, f"{prefix}{key}.") for key, value in tree.items()] if isinstance(tree, dict) else []
        return [prefix[:-1], *(key for own in below for key in own)] if prefix else [k for own in below for k in own]

    return keys(load_config(str(folder / "config.yaml")).model_dump(), "")


def _value(rng: random.Random) -> str:
    kind = rng.random()
    if kind < 0.6:
        value = hostile(rng)
        text = value if isinstance(value, str) else json.dumps(value)
    elif kind < 0.7:
        text = rng.choice(payloads.yaml_bombs(Path.cwd())).decode()
    elif kind < 0.85:
        text = rng.choice(_PLAIN)
    else:
        values = [str(box[key]) for box, key in places(yaml.safe_load(CONFIG))]
        text = rng.choice(
            [binary.flipped(rng.choice(values).encode(), rng).decode(errors="replace"), rng.choice(values)]
        )
    for word, what in ((DEEP, "[" * 20_000), (DIGITS, "9" * 10_000), (DATE, "2024-01-01")):
        text = text.replace(word, what)
    return text


def make(folder: Path, rng: random.Random) -> Case:
    settings, given = _settings(folder), []
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        key = rng.choice(settings) if rng.random() < 0.85 else rng.choice(_ODD_KEYS)
        item = f"{key}={_value(rng)}" if rng.random() < 0.97 else rng.choice(WORDS)
        given.append(item.replace("\0", "")[:_LONGEST])
    given = ["--", *given]
    kind = rng.random()
    if kind < 0.4:
        return Case([["check", "--config", "config.yaml", *given]], anywhere=True)
    if kind < 0.75:
        return Case([["ctr", "--config", "config.yaml", "train.max_steps=1", *given]], anywhere=True)
    if kind < 0.8:
        return Case([["evaluate", "runs/run", *given]], anywhere=True)
    if kind < 0.85:
        return Case([["predict", "runs/run", "--out", "scores", *given]], anywhere=True)
    return Case([["plan", "--config", "config.yaml", "--world-size", 2, "--hardware", "l4", *given]], anywhere=True)


FORMAT = Format("overrides", ["config.yaml", "data", "runs/run"], make)
