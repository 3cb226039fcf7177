"""The numbers behind tables and plots, from rows: means over seeds, and gains over ids alone."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.paper.result_rows import key_of

Rows = Sequence[Mapping[str, Any]]


class Mean(NamedTuple):
    """Over seeds; ``deviation`` is the sample's, 0 for one seed."""

    mean: float
    deviation: float
    seeds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0, len(values))


def of_data(rows: Rows, data: str) -> dict[str, list[Mapping[str, Any]]]:
    """The newest row of every run on ``data``, by model, in the order of seeds."""
    latest = {key_of(row): row for row in rows if row["data"] == data}
    found: dict[str, list] = {}
    for key in sorted(latest, key=str):
        found.setdefault(latest[key]["model"], []).append(latest[key])
    return found


def gains(runs: Rows, ids: Rows, metric: str) -> Mean:
    """Gain in percent over ids alone: each seed over the mean of the ID runs."""
    base = statistics.fmean(row[metric] for row in ids)
    return Mean.of([100 * (row[metric] / base - 1) for row in runs])


def by_epoch(runs: Rows) -> list[Mean]:
    """Validation GAUC after each epoch that all of ``runs`` have."""
    return [Mean.of(values) for values in zip(*(row["validation_gauc"] for row in runs), strict=False)]


def frequency_gains(runs: Rows, ids: Rows) -> list[Mean | None]:
    """AUC gain in percent by group of items, rarest first; None where a group's AUC is undefined."""
    found: list[Mean | None] = []
    for group in range(len(ids[0]["auc_by_frequency"])):
        base, own = ([row["auc_by_frequency"][group] for row in rows] for rows in (ids, runs))
        if None in base or None in own:
            found.append(None)
        else:
            found.append(Mean.of([100 * (value / statistics.fmean(base) - 1) for value in own]))
    return found
