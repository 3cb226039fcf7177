"""Benchmark rows: what was measured, on what, by which code; one JSON line each in benchmarks/results."""

import datetime
import json
import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from embeddings.errors import InputError
from train.run.run_folder import git_state, versions

RESULTS = Path(__file__).with_name("results")
_MEASURED_ON = ("benchmark", "date", "git", "machine", "versions")


def measurement(samples: Sequence[float], suffix: str = "", **about: Any) -> dict[str, Any]:
    """One contender's samples with their median, to a tenth, and whatever else there is to say about it.

    Args:
        suffix: of both keys, such as _us.
    """
    rounded = [round(s, 1) for s in samples]
    return {f"samples{suffix}": rounded, f"median{suffix}": round(statistics.median(samples), 1), **about}


def ratios(contenders: Mapping[str, Mapping[str, Any]], ours: str) -> dict[str, float]:
    """Peer -> median of ``ours`` over the peer's median: above 1 where ours is larger."""
    median = contenders[ours]["median"]
    return {name: round(median / c["median"], 3) for name, c in contenders.items() if name != ours}


def relative(contenders: Mapping[str, Mapping[str, Any]], peer: str, key: str, places: int) -> dict[str, float]:
    """Contender -> its ``key`` over that of ``peer``, the peer itself included."""
    return {name: round(c[key] / contenders[peer][key], places) for name, c in contenders.items()}


def append(name: str, row: Mapping[str, Any], folder: Path = RESULTS) -> dict[str, Any]:
    """Add ``row`` to ``folder/name.jsonl`` with date, commit, machine and versions; return what was written."""
    (written,) = append_all(name, [row], folder)
    return written


def append_all(name: str, rows: Sequence[Mapping[str, Any]], folder: Path = RESULTS) -> list[dict[str, Any]]:
    """As ``append``, for rows that were measured together."""
    measured_on = {
        "benchmark": name,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "git": git_state(),
        "machine": machine(),
        "versions": versions(),
    }
    written = [{**measured_on, **row} for row in rows]
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"{name}.jsonl", "a") as out:  # one write: nothing half-written is left
        out.write("".join(json.dumps(row) + "\n" for row in written))
    return written


def read(name: str, folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Rows of ``folder/name.jsonl``, oldest first; none where there is no such file."""
    path = folder / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines() if line] if path.is_file() else []


def show(row: Mapping[str, Any]) -> None:
    """Print a row as a JSON line, without what it was measured on."""
    print(json.dumps({k: v for k, v in row.items() if k not in _MEASURED_ON}), flush=True)


def record(name: str, row: Mapping[str, Any], folder: Path, wrong: str = "") -> None:
    """Append ``row`` and print it; where it is ``wrong``, print it to standard error alone.

    Then neither the rows nor the tables that are made of them hold it. Raises InputError.
    """
    if wrong:
        print(json.dumps(row), file=sys.stderr, flush=True)
        raise InputError(f"{wrong}; no row was added")
    show(append(name, row, folder))


def results_option(flag: str) -> Callable[[Callable], Callable]:
    """The option of a command line that names the folder of its rows, passed on as ``results``."""
    place = click.Path(path_type=Path)
    return click.option(
        flag, "results", type=place, default=RESULTS, help="Folder for the rows; default: benchmarks/results."
    )


def run_command(command: click.Command, module: str) -> int:
    """Run a benchmark's command line and return the exit status, as ``python -m train`` does: 2 for bad input."""
    from train.__main__ import run

    return run(command, f"python -m {module}")


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
