"""Metrics by item frequency: groups of items by how often they were seen in training, then known and new items."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from train.report.comparison import Row, Spread

_SAME_IMPRESSIONS = ("group", "rows", "min_count", "max_count")  # equal where two evaluations hold the same ones


class FrequencyGroup(NamedTuple):
    """The impressions of one group of items. ``values`` has one entry per row: None where the metric is undefined, or
    where the row's group holds other impressions."""

    name: str  # the group's number, known or new
    counts: tuple[int, int] | None  # fewest and most training impressions of its items; None for known and new
    rows: int  # impressions
    values: list[Spread | None]


def by_frequency(rows: list[Row], key: str) -> list[FrequencyGroup]:
    """``key`` per item-frequency group (rarest first), on known and on new items.

    The first row with an evaluation says what the groups are. A row whose groups hold other impressions, because its
    data is another, gets None.
    """
    reference = next((row.evaluations[0] for row in rows if row.evaluations), {})
    return [
        FrequencyGroup(name, counts, metrics["rows"], [_value(row, name, metrics, key) for row in rows])
        for name, counts, metrics in _groups(reference)
    ]


def _groups(evaluation: dict[str, Any]) -> Iterator[tuple[str, tuple[int, int] | None, dict[str, Any]]]:
    """Name, training impressions and metrics of each group that is not empty."""
    for group in evaluation.get("frequency_groups") or []:
        yield str(group["group"]), (group["min_count"], group["max_count"]), group
    for name in ("known", "new"):
        metrics = evaluation.get(f"{name}_items") or {}
        if metrics.get("rows"):
            yield name, None, metrics


def _value(row: Row, name: str, reference: dict[str, Any], key: str) -> Spread | None:
    of_runs = [metrics for e in row.evaluations for other, _, metrics in _groups(e) if other == name]
    same = [metrics for metrics in of_runs if all(metrics.get(k) == reference.get(k) for k in _SAME_IMPRESSIONS)]
    return Spread.of([metrics[key] for metrics in same if metrics.get(key) is not None])
