"""The planner beside what happens: memory, the order of plans, and its own time: python -m benchmarks.planner.

--calibrate FILE measures unit costs first, on sets of its own, and writes them as a hardware file; the shipped cpu-host
is such a file. Both the planner's command (--hardware) and the trainer (sharding.hardware) read it.
"""

import itertools
import json
import statistics
from pathlib import Path
from typing import Any

import click

from benchmarks.harness import append, results_option
from benchmarks.planner.calibrate import calibrate
from benchmarks.planner.cases import memory_ladder, speed_families
from benchmarks.planner.runs import plan_case, step_ms, train
from embeddings.errors import InputError

PARTS = ("memory", "speed", "time")


def compare_memory(hardware: Any) -> dict[str, Any]:
    """One row of each ladder case: every rank's memory, as planned and as the system says."""
    from embeddings.planner.hardware import GIB

    rows = []
    for case in memory_ladder():
        _, best = plan_case(case, hardware)
        (ranks,) = train([case], [best.plan])
        planned = [float(b) + hardware.process_gib * GIB for b in best.device_bytes]
        peak = [float(r["peak_bytes"]) for r in ranks]
        row = {
            "case": case.name,
            "types": sorted({p.sharding_type for p in best.plan.tables.values()}),
            "planned_bytes": [int(b) for b in planned],
            "peak_bytes": [int(b) for b in peak],
            "resident_bytes": [r["bytes"] for r in ranks],
            "error": [round(p / t - 1, 4) for p, t in zip(planned, peak, strict=True)],
            "balance_planned": round(max(planned) / min(planned), 3),
            "balance": round(max(peak) / min(peak), 3),
        }
        print(json.dumps(row), flush=True)
        rows.append(row)
    worst = max(abs(e) for row in rows for e in row["error"])
    return {"kind": "memory", "cases": rows, "worst_error": worst}


def compare_speed(hardware: Any, rounds: int) -> dict[str, Any]:
    """One row of each family: the plans' step times, planned and measured, and pairs put in the right order."""
    families, right, pairs = [], 0, 0
    for name, cases in speed_families().items():
        chosen = [plan_case(case, hardware)[1] for case in cases]
        plans, planned = [a.plan for a in chosen], [a.step_ms for a in chosen]
        trained = train(cases * rounds, plans * rounds)
        times = [statistics.median(map(step_ms, trained[i :: len(cases)])) for i in range(len(cases))]
        counted = [
            (planned[i] < planned[j]) == (times[i] < times[j])
            for i, j in itertools.combinations(range(len(cases)), 2)
            if plans[i].tables != plans[j].tables
        ]
        right, pairs = right + sum(counted), pairs + len(counted)
        row = {
            "family": name,
            "plans": [c.name for c in cases],
            "planned_ms": [round(p, 2) for p in planned],
            "measured_ms": [round(t, 2) for t in times],
            "pairs": len(counted),
            "right": sum(counted),
        }
        print(json.dumps(row), flush=True)
        families.append(row)
    return {"kind": "speed", "families": families, "pairs": pairs, "right": right, "share": round(right / pairs, 3)}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--calibrate", "path", help="Measure this machine, write it as this hardware file, and stop.")
@click.option("--hardware", "part", default="cpu-host", show_default=True, help="Hardware file or part to judge.")
@click.option("--parts", default=",".join(PARTS), show_default=True, help="What to compare.")
@click.option("--rounds", default=1, show_default=True, type=click.IntRange(1), help="Times that each plan runs.")
@results_option("--out")
def main(path: str | None, part: str, parts: str, rounds: int, results: Path) -> None:
    """Compare the planner's memory and order of plans with two ranks on this machine; rows in planner.jsonl."""
    if unknown := set(parts.split(",")) - set(PARTS):
        raise InputError(f"parts {sorted(unknown)} are unknown; allowed: {', '.join(PARTS)}")
    from benchmarks.planner.planning_time import compare_time
    from embeddings.planner.hardware import load_hardware

    hardware = load_hardware(part)
    if path:
        print(calibrate(Path(path), hardware))
        return
    for kind in parts.split(","):
        if kind == "memory":
            measured = compare_memory(hardware)
        else:
            measured = compare_speed(hardware, rounds) if kind == "speed" else compare_time(peer=True)
        row = append("planner", {"hardware": hardware.name, "calibrated": hardware.calibrated, **measured}, results)
        print(json.dumps({k: row[k] for k in ("worst_error", "right", "share", "seconds") if k in row}), flush=True)
