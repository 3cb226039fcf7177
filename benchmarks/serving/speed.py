"""Requests a second and latencies of the scorer and its peers, at several candidates and lengths of histories."""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import append, show
from benchmarks.serving.contender import CONTENDERS, PEERS
from benchmarks.serving.load import Load, most, paced
from benchmarks.serving.market import build_model, request
from benchmarks.serving.scorer_process import post, serving
from embeddings.errors import InputError, shown

PORT = 18_600
BODIES = 20  # different requests of one shape
HALF = 0.5  # of the most, at which latencies are measured
FEWEST = 20  # requests of which there are latencies
AGREE = 2e-3  # largest difference of logits between contenders that are timed


def measure(
    folder: Path,
    shapes: Sequence[tuple[int, int]],
    contenders: Sequence[str],
    processes: int,
    connections: int,
    seconds: float,
    repeats: int,
    results: Path,
) -> None:
    """One row a shape. Contenders are measured in turn, ``repeats`` times each; medians over these."""
    for name in contenders:
        if name not in CONTENDERS:
            raise InputError(f"contender {shown(name)} is unknown; allowed: {', '.join(CONTENDERS)}")
    model = build_model(folder)
    loads: dict[tuple[tuple[int, int], str], list[tuple[Load, Load, Load]]] = {}
    starts: dict[str, list[float]] = {}
    logits: dict[tuple[int, int], dict[str, Any]] = {shape: {} for shape in shapes}
    for _ in range(repeats):
        for name in contenders:
            with serving(name, model, PORT, processes) as scorer:
                starts.setdefault(name, []).append(round(scorer.start_s, 1))
                for shape in shapes:
                    bodies = [request(*shape, seed) for seed in range(BODIES)]
                    for _ in range(2 * processes):  # each process meets the shape
                        logits[shape][name] = post(PORT, bodies[0]).get("logits")
                    top = most(PORT, bodies, connections, seconds)
                    rate = top.requests_per_s * HALF
                    even, random = (
                        paced(PORT, bodies, rate, max(seconds, FEWEST / rate), arrivals).load()
                        for arrivals in ("even", "random")
                    )
                    loads.setdefault((shape, name), []).append((top, even, random))
                    if failed := top.failed + even.failed + random.failed:
                        raise InputError(f"{name} failed {failed} requests of {shape}")
    for shape in shapes:
        _compare(shape, logits[shape])
        figures = {name: _figures(loads[shape, name]) for name in contenders}
        ours = figures.get("ours", {}).get("requests_per_s")
        ratios = {n: round(ours / f["requests_per_s"], 2) for n, f in figures.items() if ours and n != "ours"}
        about = {"case": "speed", "candidates": shape[0], "length": shape[1], "processes": processes}
        about |= {"connections": connections, "seconds": seconds, "repeats": repeats, "model": "simtier+make"}
        show(append("serving", {**about, "contenders": figures, "ours_over": ratios, "start_s": starts}, results))


def _figures(loads: list[tuple[Load, Load, Load]]) -> dict[str, Any]:
    """Of each round the most, and half of that at even and at random times."""
    tops, evens, randoms = zip(*loads, strict=True)
    return {
        "requests_per_s": statistics.median(load.requests_per_s for load in tops),
        "samples": [load.requests_per_s for load in tops],
        "p50_ms": statistics.median(load.p50_ms for load in tops),
        "p99_ms": statistics.median(load.p99_ms for load in tops),
        "half_p50_ms": statistics.median(load.p50_ms for load in evens),
        "half_p99_ms": statistics.median(load.p99_ms for load in evens),
        "random_p50_ms": statistics.median(load.p50_ms for load in randoms),
        "random_p99_ms": statistics.median(load.p99_ms for load in randoms),
    }


def _compare(shape: tuple[int, int], logits: dict[str, Any]) -> None:
    """Raise InputError where contenders that score do not agree: they would not do the same work."""
    ours = logits.get("ours")
    for name in PEERS:
        theirs = logits.get(name)
        if ours and theirs and max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) > AGREE:
            raise InputError(f"{name} scores {shape} otherwise than ours")
