"""Metrics by how often an item was seen in training: eight groups, then known and new items."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from train.report.comparison import Row, Spread

_SAME = ("group", "rows", "min_count", "max_count")  # what tells one set of impressions from another


class Column(NamedTuple):
    """One set of impressions. ``values`` has one entry per row: None where undefined, or where the set is another."""

    name: str  # the group's number, known or new
    counts: tuple[int, int] | None  # fewest and most training impressions of its items; None for known and new
    rows: int  # impressions
    values: list[Spread | None]


def by_frequency(rows: list[Row], key: str) -> list[Column]:
    """``key`` per item-frequency group (rarest first), on known and on new items.

    The first row with an evaluation says what the groups are. A row whose groups hold other impressions, because its
    data is another, gets None.
    """
    reference = next((row.evaluations[0] for row in rows if row.evaluations), {})
    return [
        Column(name, counts, found["rows"], [_value(row, name, found, key) for row in rows])
        for name, counts, found in _sets(reference)
    ]


def _sets(evaluation: dict[str, Any]) -> Iterator[tuple[str, tuple[int, int] | None, dict[str, Any]]]:
    """Name, training impressions and metrics of each set that is not empty."""
    for group in evaluation.get("frequency_groups") or []:
        yield str(group["group"]), (group["min_count"], group["max_count"]), group
    for name in ("known", "new"):
        found = evaluation.get(f"{name}_items") or {}
        if found.get("rows"):
            yield name, None, found


def _value(row: Row, name: str, reference: dict[str, Any], key: str) -> Spread | None:
    own = [found for e in row.evaluations for other, _, found in _sets(e) if other == name]
    same = [found for found in own if all(found.get(k) == reference.get(k) for k in _SAME)]
    return Spread.of([found[key] for found in same if found.get(key) is not None])
