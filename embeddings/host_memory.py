"""Memory limit of this process: the host's memory or the least limit of its control groups."""

import os
from collections.abc import Iterator
from pathlib import Path

from embeddings.control_groups import group_folders

_LIMIT = {1: "memory.limit_in_bytes", 2: "memory.max"}


def host_bytes(root: Path = Path("/")) -> int:
    """Bytes of the host's memory, or the least limit of the control groups around this process.

    Containers set one on the outermost group that they see, batch systems on one of a job and within it, of a step.

    Args:
        root: of the file tree, where proc and sys are.
    """
    return min([physical_bytes(), *_limits(root)])


def physical_bytes() -> int:
    """Bytes of the host's memory, whatever part of it this process may use."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _limits(root: Path) -> Iterator[int]:
    for version, folder in group_folders("memory", root):
        try:
            limit = (folder / _LIMIT[version]).read_text().strip()
        except OSError:
            continue
        if limit.isdigit():  # else it is max
            yield int(limit)
