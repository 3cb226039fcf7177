"""A file tree in which a process is in control groups, for tests of their limits."""

from pathlib import Path


def group_tree(root: Path, groups: str, limits: dict[str, object]) -> Path:
    """``root`` with ``groups`` as /proc/self/cgroup, and limits by their file below /sys/fs/cgroup."""
    files = {f"sys/fs/cgroup/{name}": f"{limit}\n" for name, limit in limits.items()}
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root
