"""Cores that this process may keep busy: by its affinity, or fewer by the CPU quota of its control groups."""

import os
from collections.abc import Iterator
from pathlib import Path

from embeddings.control_groups import group_folders


def host_cores(root: Path = Path("/")) -> float:
    """Cores by affinity, or the least CPU quota of the control groups around this process: 0.5 is half of one's time.

    Args:
        root: of the file tree, where proc and sys are.
    """
    return min([float(affinity_cores()), *_quotas(root)])


def affinity_cores() -> int:
    """Cores on which this process may run."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[float]:
    for version, folder in group_folders("cpu", root):
        names = ["cpu.max"] if version == 2 else ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        try:
            quota, period = " ".join((folder / name).read_text() for name in names).split()
        except (OSError, ValueError):
            continue
        if quota.isdigit() and period.isdigit() and int(quota) and int(period):  # else it is max, or -1
            yield int(quota) / int(period)
