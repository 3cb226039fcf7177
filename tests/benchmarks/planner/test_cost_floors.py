"""Floors of unit costs are measured, all but those that no bytes or FLOPs bound."""

from benchmarks.planner.cost_floors import floors
from benchmarks.planner.fit_costs import NAMES


def test_floors_are_costs():
    least = floors(1 << 22)
    for name in NAMES:
        if name not in ("step_ms", "exchange_us"):
            assert getattr(least, name) > 0, name
