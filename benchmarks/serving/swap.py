"""Swaps under load: a scorer takes one new version after another while requests come at a steady rate."""

import time
from pathlib import Path

from benchmarks.harness import record
from benchmarks.serving.clients import Asking, Loading
from benchmarks.serving.load import most, paced
from benchmarks.serving.market import build_model, request
from benchmarks.serving.publish import copied, publish
from benchmarks.serving.scorer_process import ScorerProcess, serving, until
from recsys.exported.versions import Versions

PORT = 18_610
PAUSE_S = 1.0  # after a swap, before the next
TAKEN_S = 60.0  # within which all workers take a version
RATE = 0.5  # of the most that the scorer answers


def measure(folder: Path, swaps: int, processes: int, seconds: float, results: Path) -> None:
    """One row: failed requests, answers that no single version gives, latencies with and without a swap under way."""
    model = Path(build_model(folder))
    versions = copied(model, folder / "models" / "swapped")
    source = model / versions.current()
    bodies = [request(100, 50, seed) for seed in range(20)]
    with serving("ours", str(versions.root), PORT, processes) as scorer, Asking(PORT, bodies[0]) as asking:
        most(PORT, bodies, 4 * processes, 2)
        rate = most(PORT, bodies, 4 * processes, seconds).requests_per_s * RATE
        calm = paced(PORT, bodies, rate, 3 * seconds)
        windows: list[tuple[float, float]] = []
        with Loading(PORT, bodies, rate, swaps * (PAUSE_S + 2.0) + 5) as loading:
            time.sleep(1.0)
            while len(windows) < swaps and not loading.over:
                windows.append(take_next(source, versions, scorer))
                time.sleep(PAUSE_S)
    loaded = loading.paced
    during = loaded.within(windows)
    row = {
        "case": "swap",
        "swaps": len(windows),
        "seen": len(asking.answers),
        "processes": processes,
        "rate": round(rate, 1),
        "requests": loaded.due.size,
        "failed": loaded.failed + calm.failed,
        "asked": asking.asked,
        "asked_failed": len(asking.errors),
        "errors": asking.errors[:3],
        "mixed": asking.mixed,
        "taken_s": [round(end - begin, 2) for begin, end in windows],
        "calm": vars(calm.load()),
        "during": {
            "requests": during.due.size,
            "p50_ms": during.percentile_ms(50),
            "p99_ms": during.percentile_ms(99),
            "worst_ms": during.percentile_ms(100),
        },
    }
    wrong = (
        f"{row['failed']} requests of {row['requests']} failed, {row['asked_failed']} of {row['asked']} that were "
        f"compared, and {row['mixed']} versions gave more than one answer"
    )
    record("serving", row, results, wrong if row["failed"] or row["asked_failed"] or row["mixed"] else "")


def take_next(source: Path, versions: Versions, scorer: ScorerProcess) -> tuple[float, float]:
    """From the publication of a version until all workers have taken it, seconds of ``time.monotonic``."""
    version = publish(source, versions)
    begun = time.monotonic()
    until(lambda: scorer.scores_by(version), TAKEN_S, f"the workers did not take version {version}")
    return begun, time.monotonic()
