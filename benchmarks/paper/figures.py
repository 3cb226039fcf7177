"""The numbers behind the paper's tables and plots, from rows: runs by model, and gains over ids alone."""

import statistics
from collections.abc import Mapping
from typing import Any

from benchmarks.markdown import Rows
from benchmarks.paper.result_rows import key_of
from benchmarks.spread import Mean


def of_data(rows: Rows, data: str) -> dict[str, list[Mapping[str, Any]]]:
    """The newest row of every run on ``data``, by model, in the order of seeds."""
    latest = {key_of(row): row for row in rows if row["data"] == data}
    runs: dict[str, list] = {}
    for key in sorted(latest, key=str):
        runs.setdefault(latest[key]["model"], []).append(latest[key])
    return runs


def gains(runs: Rows, ids: Rows, metric: str) -> Mean:
    """Gain in percent over ids alone: each seed over the mean of the ID runs."""
    base = statistics.fmean(row[metric] for row in ids)
    return Mean.of([100 * (row[metric] / base - 1) for row in runs])


def by_epoch(runs: Rows) -> list[Mean]:
    """Validation GAUC after each epoch that all of ``runs`` have."""
    return [Mean.of(values) for values in zip(*(row["validation_gauc"] for row in runs), strict=False)]


def frequency_gains(runs: Rows, ids: Rows) -> list[Mean | None]:
    """AUC gain in percent by group of items, rarest first; None where a group's AUC is undefined."""
    by_group: list[Mean | None] = []
    for group in range(len(ids[0]["auc_by_frequency"])):
        base, values = ([row["auc_by_frequency"][group] for row in rows] for rows in (ids, runs))
        if None in base or None in values:
            by_group.append(None)
        else:
            by_group.append(Mean.of([100 * (value / statistics.fmean(base) - 1) for value in values]))
    return by_group
