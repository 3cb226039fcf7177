"""Scoring of exported models: over HTTP (python -m serve score) and in process (``from serve import Scorer``)."""

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    """``Scorer`` of serve/scorer.py, imported where it is asked for: the command line answers without torch."""
    if name != "Scorer":
        raise AttributeError(f"module 'serve' has no attribute '{name}'")
    return importlib.import_module("serve.scorer").Scorer
