"""Where a training step's time goes, on rank 0 of several, by torch's profiler. Runs apart from what is timed."""

import tempfile
from collections.abc import Mapping
from typing import Any

from benchmarks.ranks import measure_on_ranks


def profile(config: Mapping[str, Any], ranks: int) -> dict[str, Any]:
    """Profile a short run of ``config``: milliseconds a step, and the share of each class in it."""
    with tempfile.TemporaryDirectory(prefix="profile-") as folder:
        config = {**config, "run": {"name": "bench", "root": folder, "overwrite": True}}
        return measure_on_ranks(ranks, "benchmarks.training.profile_rank", {"config": config})
