"""Memory of several worker processes: proportional set size, which counts a shared page once, and time to serve."""

import os
import subprocess
from pathlib import Path

from benchmarks.harness import append, show
from benchmarks.serving.contender import post, serving
from benchmarks.serving.load import most
from benchmarks.serving.market import build_model, request

PORT = 18_620


def measure(folder: Path, processes: int, results: Path) -> None:
    """A row with one process and a row with ``processes``, after all of them have read tables and vectors."""
    model = build_model(folder)
    mapped = sum(p.stat().st_size for p in Path(model).rglob("tables/*.npy"))
    mapped += sum(p.stat().st_size for p in (folder / "data" / "frozen").rglob("*.npy"))
    for count in (1, processes):
        with serving("ours", model, PORT, count) as start_s:
            bodies = [request(1000, 1000, seed) for seed in range(200)]
            post(PORT, bodies[0])
            most(PORT, bodies, 2 * count, 30)
            workers = [pid for pid in _children(os.getpid()) if _pss(pid)[1] > 200 << 20]
            sizes = [_pss(pid) for pid in workers]
        row = {
            "case": "memory",
            "processes": count,
            "start_s": round(start_s, 1),
            "tables_and_vectors_bytes": mapped,
            "pss_bytes": sum(pss for pss, _ in sizes),
            "rss_bytes": sum(rss for _, rss in sizes),
        }
        show(append("serving", row, results))


def _children(pid: int) -> list[int]:
    """All processes below ``pid``."""
    out = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in out.splitlines())}
    below, found = {pid}, []
    for _ in range(5):
        new = [child for child, parent in parents.items() if parent in below and child not in below]
        found += new
        below |= set(new)
    return found


def _pss(pid: int) -> tuple[int, int]:
    """Proportional and resident set size, bytes; of a process that has ended (0, 0)."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0, 0
    found = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines[1:] if line.endswith("kB")}
    return found.get("Pss", 0), found.get("Rss", 0)
