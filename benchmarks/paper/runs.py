"""Rows of results from runs that are done."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.paper.experiments import Job

_METRICS = ("gauc", "auc", "ne", "log_loss", "calibration")
_SAME = ("run_commit", "validation_gauc", *_METRICS)


def row_of(job: Job, folder: Path, data: str) -> dict[str, Any]:
    """What a done run found: its test split at its best epoch, and validation GAUC by epoch."""
    about = json.loads((folder / "run.json").read_text())
    evaluation = json.loads((folder / "evaluation" / "test.json").read_text())
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    groups = evaluation["frequency_groups"]
    return {
        "data": data,
        "model": job.model,
        "seed": job.seed,
        **({"modality": folder.name} if job.verb == "make" else {}),
        "settings": [s for s in job.settings if not s.startswith("run.")],
        "run_commit": about["git"],
        "best_epoch": about["best_epoch"],
        "validation_gauc": [row["gauc"] for row in lines if row["kind"] == "evaluation"],
        "examples_per_s": about["examples_per_s"],
        **{key: evaluation["overall"][key] for key in _METRICS},
        "frequency": [[g["min_count"], g["max_count"], g["rows"]] for g in groups],
        "auc_by_frequency": [g["auc"] for g in groups],
        "auc_new_items": evaluation["new_items"]["auc"],
    }


def key_of(row: Mapping[str, Any]) -> tuple:
    """What tells one run from another."""
    return row["data"], row["model"], row["seed"], row.get("modality")


def not_yet_written(
    found: Sequence[dict[str, Any]], written: Sequence[Mapping[str, Any]], same: Sequence[str] = _SAME
) -> list[dict[str, Any]]:
    """The rows of ``found`` that differ in ``same`` from the newest of ``written`` of the same run."""
    latest = {key_of(row): row for row in written}
    return [r for r in found if any(latest.get(key_of(r), {}).get(k) != r[k] for k in same)]
