"""A tiny exported model of versions whose scores tell them apart, and a request for it."""

from pathlib import Path
from typing import Any

from recsys.exported.versions import Versions
from tests.recsys.exported.artefacts import export

SETTINGS: dict[str, Any] = {
    "arch": "din",
    "over_arch": [8, 8],
    "attention": {"hidden": [4]},
    "multimodal": {"mode": "simtier"},
}
REQUEST: dict[str, Any] = {
    "context": {"user": 3, "history": [1, 2, 3, 59], "bought": [4, 4], "city": -7, "age": 31},
    "candidates": {
        "item": [5, 6, 7],
        "tags": [[1, 2], [], [3]],
        "price": [0.5, 1.25, -2.0],
        "title": [[9], [10, 11], []],
    },
}


def write_version(root: Path, data: Path, seed: int, scale: float = 1.0) -> str:
    """Write the next version, of random weights, and make it current; all stay.

    Args:
        data: folder of the schema and its stores.
        scale: of the dense parameters; infinite, logits are not finite.
    """
    return export(root, data, SETTINGS, seed=seed, requests=(REQUEST,), keep=1000, scale=scale).folder.name


def publish(root: Path, version: str) -> None:
    """Have current.json name ``version``."""
    Versions(root).publish(version, 1, 1000)
