"""A soak: mixed requests, new versions, wrong requests and clients that go away; memory is to stay flat."""

import time
from pathlib import Path

from benchmarks.harness import record
from benchmarks.serving.clients import Asking, Loading, Rude
from benchmarks.serving.load import most
from benchmarks.serving.market import build_model, request
from benchmarks.serving.publish import copied
from benchmarks.serving.scorer_process import memory, serving
from benchmarks.serving.swap import take_next

PORT = 18_640
SHAPES = ((1, 50), (10, 50), (100, 50), (1000, 50), (1, 1000), (10, 1000), (100, 1000))
RATE = 0.4  # of the most that the scorer answers
SWAP_S = 30.0
SAMPLES = 10  # of memory, at least; else one a minute
SETTLED = 0.2  # of the time, after which memory is to stay
GROWTH = 0.03  # of it that may come then


def measure(folder: Path, minutes: float, processes: int, results: Path) -> None:
    """One row. Raises InputError where a request failed, a wrong one did not, or memory grew."""
    model = Path(build_model(folder))
    versions = copied(model, folder / "models" / "soaked")
    source = model / versions.current()
    bodies = [request(*shape, seed) for seed in range(10) for shape in SHAPES]
    every = min(60.0, minutes * 60 / SAMPLES)
    samples: list[dict[str, int]] = []
    swaps = 0
    with serving("ours", str(versions.root), PORT, processes) as scorer:
        rate = most(PORT, bodies, 4 * processes, 5).requests_per_s * RATE
        pids = scorer.workers()
        with (
            Asking(PORT, bodies[2]) as asking,
            Rude(PORT, bodies[0]) as rude,
            Loading(PORT, bodies, rate, minutes * 60) as loading,
        ):
            begun = time.monotonic()
            while not loading.over:
                if time.monotonic() - begun >= len(samples) * every:
                    samples.append(memory(pids, folder.resolve()))
                if time.monotonic() - begun >= (swaps + 1) * SWAP_S:
                    take_next(source, versions, scorer)
                    swaps += 1
                time.sleep(0.2)
        samples.append(memory(pids, folder.resolve()))
        lived = scorer.workers() == pids
    loaded = loading.paced
    held = [sample["anonymous_bytes"] for sample in samples]
    settled = held[max(1, round(len(held) * SETTLED)) :]
    growth = max(settled) / settled[0] - 1
    row = {
        "case": "soak",
        "minutes": minutes,
        "processes": processes,
        "rate": round(rate, 1),
        **vars(loaded.load()),
        "swaps": swaps,
        "asked": asking.asked,
        "asked_failed": len(asking.errors),
        "mixed": asking.mixed,
        "wrong": rude.sent,
        "wrong_served": len(rude.served),
        "errors": (asking.errors + rude.served)[:3],
        "workers_lived": lived,
        "every_s": every,
        "anonymous_bytes": held,
        "pss_bytes": [sample["pss_bytes"] for sample in samples],
        "mapped_bytes": [sample["mapped_bytes"] for sample in samples],
        "growth": round(growth, 4),
    }
    wrong = {name: row[name] for name in ("failed", "asked_failed", "mixed", "wrong_served") if row[name]}
    said = f"not as it should be: {wrong or ''}, workers lived: {lived}, memory grew by {growth:.1%}"
    record("serving", row, results, said if wrong or not lived or growth > GROWTH else "")
