"""Result rows of the paper's runs, read from the folders of runs that are done."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.paper.experiments import Job

_METRICS = ("gauc", "auc", "ne", "log_loss", "calibration")
_SAME = ("run_commit", "validation_gauc", *_METRICS)


def row_of(job: Job, folder: Path, data: str) -> dict[str, Any]:
    """The row of a done CTR or MAKE run: its test split at its best epoch, and validation GAUC by epoch."""
    evaluation = json.loads((folder / "evaluation" / "test.json").read_text())
    groups = evaluation["frequency_groups"]
    return {
        **about(job, folder, data),
        **({"modality": folder.name} if job.command == "make" else {}),
        "validation_gauc": [row["gauc"] for row in evaluations(folder)],
        **{key: evaluation["overall"][key] for key in _METRICS},
        "frequency": [[g["min_count"], g["max_count"], g["rows"]] for g in groups],
        "auc_by_frequency": [g["auc"] for g in groups],
        "auc_new_items": evaluation["new_items"]["auc"],
    }


def about(job: Job, folder: Path, data: str) -> dict[str, Any]:
    """What the row of a done run of any kind says: data, model, seed, settings, commit, best epoch, examples/s."""
    run = json.loads((folder / "run.json").read_text())
    return {
        "data": data,
        "model": job.model,
        "seed": job.seed,
        "settings": [s for s in job.settings if not s.startswith("run.")],
        "run_commit": run["git"],
        "best_epoch": run["best_epoch"],
        "examples_per_s": run["examples_per_s"],
    }


def evaluations(folder: Path) -> list[dict[str, Any]]:
    """A run's evaluations while it trained, and of an SCL run the one on the test split behind them."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in lines if row["kind"] == "evaluation"]


def key_of(row: Mapping[str, Any]) -> tuple:
    """Data, model, seed and modality: what tells one run from another."""
    return row["data"], row["model"], row["seed"], row.get("modality")


def not_yet_written(
    rows: Sequence[dict[str, Any]],
    written: Sequence[Mapping[str, Any]],
    same: Sequence[str] = _SAME,
    key: Callable[[Mapping[str, Any]], tuple] = key_of,
) -> list[dict[str, Any]]:
    """Those of ``rows`` that differ in ``same`` from the newest of ``written`` of the same ``key``."""
    latest = {key(row): row for row in written}
    return [r for r in rows if any(latest.get(key(r), {}).get(k) != r[k] for k in same)]
