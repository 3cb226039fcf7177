"""HTTP stacks beside each other: requests a second and CPU time a request of one process, no scorer behind it."""

import os
import socket
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.harness import append, show
from benchmarks.peers.http_stacks import MISSING, STACKS
from benchmarks.serving.load import most
from benchmarks.serving.market import request
from benchmarks.serving.scorer_process import until
from embeddings.errors import InputError

PORT = 18_650
START_S = 30.0
_SCRIPT = ROOT / "benchmarks" / "peers" / "http_stacks.py"
_TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")


def measure(python: str | None, connections: int, seconds: float, repeats: int, results: Path) -> None:
    """One row. Stacks are measured in turn, ``repeats`` times each; medians. What is not installed is said.

    Args:
        python: interpreter of the environment that has the stacks; None: this one.
    """
    loads = {"nothing": [], "json": [request(1000, 1000, seed) for seed in range(5)]}
    found: dict[str, dict[str, list[tuple[float, float]]]] = {}
    missing = []
    for _ in range(repeats):
        for name in (n for n in STACKS if n not in missing):
            measured = _measured(python or sys.executable, name, loads, connections, seconds)
            if measured is None:
                missing.append(name)
                print(f"{name} is not installed and left out", file=sys.stderr)
            for what, figures in (measured or {}).items():
                found.setdefault(name, {}).setdefault(what, []).append(figures)
    stacks = {name: {what: _medians(samples) for what, samples in whats.items()} for name, whats in found.items()}
    row = {"case": "stacks", "connections": connections, "seconds": seconds, "repeats": repeats}
    show(append("serving", {**row, "stacks": stacks, "missing": missing}, results))


def _measured(
    python: str, name: str, loads: dict[str, list], connections: int, seconds: float
) -> dict[str, tuple[float, float]] | None:
    """Requests a second and microseconds of CPU a request; None where the stack is not installed."""
    process = subprocess.Popen(
        [python, str(_SCRIPT), name, str(PORT)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        until(lambda: process.poll() is not None or _answers(), START_S, f"{name} did not serve")
        if process.poll() == MISSING:
            return None
        if process.poll() is not None:
            raise InputError(f"{name} ended with {process.returncode}: {(process.stderr or sys.stdin).read()[-300:]}")
        measured = {}
        for what, bodies in loads.items():
            most(PORT, bodies, connections, 1)
            before = _cpu_us(process.pid)
            load = most(PORT, bodies, connections, seconds)
            if load.failed:
                raise InputError(f"{name} failed {load.failed} requests")
            measured[what] = load.requests_per_s, (_cpu_us(process.pid) - before) / load.requests
        return measured
    finally:
        process.terminate()
        process.wait()


def _medians(samples: list[tuple[float, float]]) -> dict[str, Any]:
    rates, cpus = zip(*samples, strict=True)
    return {"requests_per_s": round(statistics.median(rates)), "cpu_us": round(statistics.median(cpus), 1)}


def _answers() -> bool:
    try:
        socket.create_connection(("127.0.0.1", PORT), 1).close()
    except OSError:
        return False
    return True


def _cpu_us(pid: int) -> float:
    """User and system time of a process and those below it."""
    words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    children = [int(c) for path in Path(f"/proc/{pid}/task").glob("*/children") for c in path.read_text().split()]
    return (int(words[11]) + int(words[12])) * _TICK_US + sum(map(_cpu_us, children))
