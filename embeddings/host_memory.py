"""Memory limit of this process: the host's memory or the least limit of its control groups."""

import os
from collections.abc import Iterator
from pathlib import Path


def host_bytes(root: Path = Path("/")) -> int:
    """Bytes of the host's memory, or the least limit of the control groups around this process.

    Containers set one on the outermost group that they see, batch systems on one of a job and within it, of a step.

    Args:
        root: of the file tree, where proc and sys are.
    """
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_limits(root)])


def _limits(root: Path) -> Iterator[int]:
    """Limits of the groups of both versions of Linux' control groups, as man 7 cgroups has them."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            mount, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            mount, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        group = Path(path.lstrip("/"))
        for folder in (group, *group.parents):
            try:
                limit = (mount / folder / name).read_text().strip()
            except OSError:  # a container sees its own group where the mount is, and not by the host's name of it
                continue
            if limit.isdigit():  # else it is max
                yield int(limit)
