"""Benchmark rows: what was measured, on what, by which code; one JSON line each in benchmarks/results."""

import datetime
import json
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from embeddings.errors import InputError
from train.run.run_folder import git_state, versions

RESULTS = Path(__file__).with_name("results")


def measurement(samples: Sequence[float], **about: Any) -> dict[str, Any]:
    """One contender's samples with their median, and whatever else there is to say about it."""
    return {"samples": [round(s, 1) for s in samples], "median": round(statistics.median(samples), 1), **about}


def ratios(contenders: Mapping[str, Mapping[str, Any]], ours: str) -> dict[str, float]:
    """Peer -> median of ``ours`` over the peer's median: above 1 where ours is larger."""
    own = contenders[ours]["median"]
    return {name: round(own / c["median"], 3) for name, c in contenders.items() if name != ours}


def append(name: str, row: Mapping[str, Any], folder: Path = RESULTS) -> dict[str, Any]:
    """Add ``row`` to ``folder/name.jsonl`` with date, commit, machine and versions; return what was written."""
    (whole,) = append_all(name, [row], folder)
    return whole


def append_all(name: str, rows: Sequence[Mapping[str, Any]], folder: Path = RESULTS) -> list[dict[str, Any]]:
    """As ``append``, for rows that were measured together."""
    about = {
        "benchmark": name,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "git": git_state(),
        "machine": machine(),
        "versions": versions(),
    }
    found = [{**about, **row} for row in rows]
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{name}.jsonl", "a") as out:  # one write: nothing half-written is left
        out.write("".join(json.dumps(row) + "\n" for row in found))
    return found


def read(name: str, folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Rows of ``folder/name.jsonl``, oldest first; none where there is no such file."""
    path = folder / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines() if line] if path.is_file() else []


def run_command(command: click.Command, module: str) -> int:
    """Run a benchmark's command line and return the exit status: 0, 2 for bad input, which is said in one line."""
    try:
        return command.main(prog_name=f"python -m {module}", standalone_mode=False) or 0
    except click.UsageError as error:
        error.show()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
    return 2


def machine() -> dict[str, Any]:
    """What a speed depends on. No host name."""
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": _cpu(),
        "cores": cores,
        "memory_gib": round(pages / 2**30, 1),
        "load": round(os.getloadavg()[0], 1),  # of the last minute: above the benchmark's own, the row is worth less
    }


def _cpu() -> str:
    """The processor's name; family and model beside it, as virtual machines hide the name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    facts = {k.strip(): v.strip() for k, _, v in (line.partition(":") for line in lines if ":" in line)}
    return f"{facts.get('model name', 'unknown')}, family {facts.get('cpu family')}, model {facts.get('model')}"
