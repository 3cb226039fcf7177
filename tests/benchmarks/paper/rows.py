"""Rows of results for the tests of tables and plots: small numbers whose means and gains are plain to see."""

from typing import Any


def row(model: str, seed: int, gauc: float, **more: Any) -> dict[str, Any]:
    """A run's row; groups of items gain a tenth and a fifth as much AUC as ``gauc`` is above .5."""
    return {
        "data": "shop",
        "model": model,
        "seed": seed,
        "run_commit": {"commit": "c"},
        "gauc": gauc,
        "auc": gauc + 0.1,
        "ne": 0.9,
        "log_loss": 0.5,
        "calibration": 1.0,
        "validation_gauc": [gauc, gauc - 0.01],
        "frequency": [[0, 0, 40], [1, 1500, 60]],
        "auc_by_frequency": [2 * gauc - 0.5, gauc],
        **more,
    }


ROWS = [
    row("none", 0, 0.50),
    row("none", 1, 0.50),
    row("simtier", 0, 0.54),
    row("simtier", 1, 0.56),
    row("alone", 0, 0.51, modality="content", validation_gauc=[0.50, 0.53, 0.54]),
    row("epochs", 0, 0.50, validation_gauc=[0.50, 0.40]),
    row("make@2", 0, 0.51),
]
