"""SimTier, MAKE's attention and DIN's beside what users write today: python -m benchmarks.kernels.

Contenders of a case take turns in one process, round after round; times are medians. Half and more of eager's time goes
to pages that glibc hands back to the kernel after every call, so everything is measured twice: as it is (default), and
with an allocator that keeps what was freed (kept). Run it while nothing else runs: other work on the machine slows
memory for all.
"""

import ctypes
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from benchmarks import ROOT
from benchmarks.harness import append, measurement, results_option
from benchmarks.kernels import cases
from benchmarks.kernels.cases import Contenders
from benchmarks.process_memory import status_bytes
from embeddings.errors import InputError

ALLOCATORS = {"default": {}, "kept": {"MALLOC_MMAP_THRESHOLD_": str(1 << 40), "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}}


def measure(contenders: Contenders, rounds: int) -> dict[str, dict[str, Any]]:
    """Contender -> median in microseconds, its samples, and the most memory that a call held on top."""
    for function in contenders.values():
        function()
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    order, shuffle = list(contenders), random.Random(0).shuffle
    for _ in range(rounds):
        shuffle(order)  # so that nobody always finds the rows that the same other has just read
        for name in order:
            start = time.perf_counter()
            contenders[name]()
            samples[name].append((time.perf_counter() - start) * 1e6)
    return {
        name: measurement(times_us, "_us", extra_bytes=extra_bytes(contenders[name]))
        for name, times_us in samples.items()
    }


def extra_bytes(function: Callable[[], Any]) -> int | None:
    """How far a call raises the process's resident memory, in steps of some 100 KiB as the kernel counts it.

    None where the kernel does not let the peak be reset, or the allocator keeps what was freed: then nothing shows.
    """
    if "MALLOC_TRIM_THRESHOLD_" in os.environ:
        return None
    ctypes.CDLL(None).malloc_trim(0)  # or what earlier calls freed hides what this one takes
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    except OSError:
        return None
    before = status_bytes("VmRSS")
    function()
    return max(0, status_bytes("VmHWM") - before)


def run_cases(allocator: str, rounds: int, wanted: str) -> None:
    """Measure every case, or those named ``wanted``, in this process, and print a JSON line for each."""
    import torch

    torch.set_num_threads(2)
    for about, build in cases.all_cases(cases.Data()):
        if wanted in ("all", about["case"]):
            contenders = measure(build(), rounds)
            print(json.dumps({**about, "allocator": allocator, "contenders": contenders}), flush=True)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", default=9, show_default=True, type=click.IntRange(1), help="Turns of each contender.")
@click.option("--case", "wanted", default="all", type=click.Choice(["all", *cases.CASES]))
@results_option("--out")
@click.option("--in-process", hidden=True, default=None)
def main(rounds: int, wanted: str, results: Path, in_process: str | None) -> None:
    """Time the kernels beside their peers; rows in kernels.jsonl."""
    if in_process:
        return run_cases(in_process, rounds, wanted)
    from embeddings.kernels import native

    if (reason := native.unavailable_reason()) is not None:
        raise InputError(f"there is nothing to measure: {reason}")
    sizes = {"rows": cases.ROWS, "width": cases.WIDTH, "targets": cases.TARGETS, "tiers": cases.TIERS, "threads": 2}
    for allocator, settings in ALLOCATORS.items():
        command = [sys.executable, "-m", "benchmarks.kernels", "--in-process", allocator, "--rounds", str(rounds)]
        child = subprocess.Popen(
            [*command, "--case", wanted], cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        for line in child.stdout:
            row = json.loads(line)
            times = {name: c["median_us"] for name, c in row["contenders"].items()}
            append("kernels", {"shapes": sizes, **row}, results)
            about = " ".join(
                f"{k} {row[k]}" for k in ("case", "length", "targets", "hidden", "dtype", "allocator") if k in row
            )
            print(about, *(f"{name} {t / 1e3:.2f} ms" for name, t in times.items()), sep="  ", flush=True)
        if child.wait():
            raise InputError(f"the measurement ended with status {child.returncode}; see its words above")
