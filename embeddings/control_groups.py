"""Linux control groups (cgroup v1 and v2) around this process: the folders in which their limits stand."""

from collections.abc import Iterator
from pathlib import Path


def group_folders(controller: str, root: Path = Path("/")) -> Iterator[tuple[int, Path]]:
    """Version (1 or 2) and folder of each group around this process, the inner ones first, as man 7 cgroups has them.

    A container sees its own group where the mount is and not by the host's name of it, so some folders do not exist.

    Args:
        controller: cpu or memory; version 2 has all controllers in one tree.
        root: of the file tree, where proc and sys are.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            version, mounts = 2, [""]
        elif controller in controllers.split(","):
            version, mounts = 1, list(dict.fromkeys((controller, controllers)))
        else:
            continue
        group = Path(path.lstrip("/"))
        for folder in (group, *group.parents):
            for mount in mounts:
                yield version, root / "sys/fs/cgroup" / mount / folder
