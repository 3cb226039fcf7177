"""Memory of several worker processes: proportional set size, which counts a shared page once; start to first answer."""

import time
from pathlib import Path

from benchmarks.harness import append, show
from benchmarks.serving.load import most
from benchmarks.serving.market import build_model, request
from benchmarks.serving.scorer_process import memory, post, serving

PORT = 18_620
BODIES = 1_000  # with 1,000 items each, of 200,000: nearly all are read
READING_S = 10.0


def measure(folder: Path, processes: int, results: Path) -> None:
    """A row with one process and a row with ``processes``, after all of them have read nearly all vectors."""
    model = build_model(folder)
    mapped = sum(p.stat().st_size for p in Path(model).rglob("tables/*.npy"))
    mapped += sum(p.stat().st_size for p in (folder / "data" / "frozen").rglob("*.npy"))
    bodies = [request(1, 1000, seed) for seed in range(BODIES)]
    for count in (1, processes):
        with serving("ours", model, PORT, count) as scorer:
            post(PORT, bodies[0])
            first_s = time.monotonic() - scorer.begun
            most(PORT, bodies, 16 * count, READING_S * count)
            row = {
                "case": "memory",
                "processes": count,
                "ready_s": round(scorer.start_s, 1),
                "first_answer_s": round(first_s, 1),
                "tables_and_vectors_bytes": mapped,
                **memory(scorer.workers(), folder.resolve()),
                "supervisor_bytes": memory([scorer.pid], folder.resolve())["pss_bytes"],
            }
        show(append("serving", row, results))
