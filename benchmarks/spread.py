"""Mean and standard deviation of a figure over seeds."""

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Mean(NamedTuple):
    """Over seeds; ``deviation`` is the sample's standard deviation, 0 for one seed."""

    mean: float
    deviation: float
    seeds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        """The mean of at least one value."""
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0, len(values))

    def four_places(self) -> str:
        """Mean, and deviation where there are several seeds, to four places."""
        return f"{self.mean:.4f}" + (f" +- {self.deviation:.4f}" if self.seeds > 1 else "")

    def percent(self) -> str:
        """Mean with its sign, and deviation where there are several seeds, in percent to two places."""
        return f"{self.mean:+.2f} %" + (f" +- {self.deviation:.2f}" if self.seeds > 1 else "")
