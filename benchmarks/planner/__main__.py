"""The planner against what happens: python -m benchmarks.planner. Memory, order of plans, and its own time.

--calibrate FILE measures unit costs first, on sets of its own, and writes them as a hardware file; the shipped cpu-host
is such a file. Both the planner's command (--hardware) and the trainer (sharding.hardware) read it.
"""

import dataclasses
import datetime
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.planner.cases import POOL, RANKS, Case, calibration, memory_ladder, speed_families
from embeddings.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("memory", "speed", "time")


def prepared(case: Case, hardware: Any) -> tuple[Any, Any]:
    """The planner's question for a case, and the assessment of its plan."""
    from embeddings.planner.cost_model import Machine
    from embeddings.planner.search import Search
    from recsys.schema import Schema
    from train.config import Config
    from train.ctr.planner_input import build_planner_input

    schema, config = Schema.model_validate(case.tables.schema()), Config.model_validate(case.settings())
    problem = build_planner_input(config, schema, case.tables.lengths(), {})
    problem = dataclasses.replace(problem, checkpoints=False)  # the worker saves none
    return problem, Search(problem, Machine.of(hardware, RANKS)).best()


def train(cases: Sequence[Case], plans: Sequence[Any]) -> list[list[dict[str, Any]]]:
    """What each rank measured of each case, all in one launch; the trainer takes the plans as files."""
    from embeddings.planner.sharding_plan import save_plan

    with tempfile.TemporaryDirectory(prefix="planner-") as folder:
        jobs = []
        for i, (case, plan) in enumerate(zip(cases, plans, strict=True)):
            save_plan(plan, Path(folder) / f"plan-{i}.json")
            config = case.settings()
            config["sharding"]["plan"] = f"{folder}/plan-{i}.json"
            about = {"schema": case.tables.schema(), "lengths": case.tables.lengths()}
            jobs.append({"config": config, "steps": case.steps, "pool": POOL, **about})
        path, out = Path(folder) / "jobs.json", Path(folder) / "out.json"
        path.write_text(json.dumps({"jobs": jobs, "out": str(out)}))
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={RANKS}"]
        done = subprocess.run(
            [*command, "-m", "benchmarks.planner.rank", str(path)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            print(done.stderr[-4000:], file=sys.stderr)
            raise InputError(f"training on {RANKS} ranks ended with status {done.returncode}; see its words above")
        return json.loads(out.read_text())


def step_ms(ranks: Sequence[dict[str, Any]]) -> float:
    return max(r["step_ms"] for r in ranks)


def calibrate(path: Path, hardware: Any) -> Any:
    """Measure this machine and write its hardware file: unit costs, and what a process holds before its tables."""
    from benchmarks.harness import machine
    from benchmarks.planner.cost_floors import floors
    from benchmarks.planner.fit_costs import Measured, fit
    from embeddings.planner.hardware import GIB, save_hardware

    cases = calibration()
    questions = [prepared(case, hardware) for case in cases]
    (smallest,) = train(cases[-1:], [questions[-1][1].plan])
    process = max(r["peak_bytes"] for r in smallest) - float(questions[-1][1].device_bytes.max())
    found = train(cases, [a.plan for _, a in questions])
    measured = [Measured(p, a.plan, step_ms(r)) for (p, a), r in zip(questions, found, strict=True)]
    least = floors()
    speed, predicted = fit(measured, hardware, least)
    for case, m, p in zip(cases, measured, predicted, strict=True):
        print(f"{case.name:28s} {m.step_ms:8.2f} ms, fitted {p:8.2f}", flush=True)
    at_floor = [name for name, cost in vars(speed).items() if cost == getattr(least, name)]
    print(f"not seen in these steps, so as memory and processor alone allow: {', '.join(at_floor)}", flush=True)
    here = machine()
    day = datetime.date.today().isoformat()
    result = hardware.with_(
        ddr_gib=here["memory_gib"],
        process_gib=round(process / GIB, 3),
        calibrated=f"{day} on {here['cpu']}, {here['cores']} cores, {RANKS} ranks",
        speed=speed,
    )
    save_hardware(result, path)
    return result


def compare_memory(hardware: Any) -> dict[str, Any]:
    """One row of each ladder case: every rank's memory, as planned and as the system says."""
    from embeddings.planner.hardware import GIB

    rows = []
    for case in memory_ladder():
        _, best = prepared(case, hardware)
        (found,) = train([case], [best.plan])
        planned = [float(b) + hardware.process_gib * GIB for b in best.device_bytes]
        there = [float(r["peak_bytes"]) for r in found]
        row = {
            "case": case.name,
            "types": sorted({p.sharding_type for p in best.plan.tables.values()}),
            "planned_bytes": [int(b) for b in planned],
            "peak_bytes": [int(b) for b in there],
            "resident_bytes": [r["bytes"] for r in found],
            "error": [round(p / t - 1, 4) for p, t in zip(planned, there, strict=True)],
            "balance_planned": round(max(planned) / min(planned), 3),
            "balance": round(max(there) / min(there), 3),
        }
        print(json.dumps(row), flush=True)
        rows.append(row)
    worst = max(abs(e) for row in rows for e in row["error"])
    return {"kind": "memory", "cases": rows, "worst_error": worst}


def compare_speed(hardware: Any, rounds: int) -> dict[str, Any]:
    """One row of each family: the plans' step times, planned and measured, and pairs put in the right order."""
    families, right, pairs = [], 0, 0
    for name, cases in speed_families().items():
        questions = [prepared(case, hardware) for case in cases]
        found = train(cases * rounds, [a.plan for _, a in questions] * rounds)
        times = [statistics.median(map(step_ms, found[i :: len(cases)])) for i in range(len(cases))]
        planned = [a.step_ms for _, a in questions]
        same = [a.plan for _, a in questions]
        counted = [
            (planned[i] < planned[j]) == (times[i] < times[j])
            for i, j in itertools.combinations(range(len(cases)), 2)
            if same[i].tables != same[j].tables
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
@click.option("--out", default=None, help="Folder for the rows; default: benchmarks/results.")
def main(path: str | None, part: str, parts: str, rounds: int, out: str | None) -> None:
    """Compare the planner's memory and order of plans with two ranks on this machine; rows in planner.jsonl."""
    if unknown := set(parts.split(",")) - set(PARTS):
        raise InputError(f"parts {sorted(unknown)} are unknown; allowed: {', '.join(PARTS)}")
    from benchmarks.harness import RESULTS, append
    from benchmarks.planner.planning_time import compare_time
    from embeddings.planner.hardware import load_hardware

    hardware = load_hardware(part)
    if path:
        print(calibrate(Path(path), hardware))
        return
    results = Path(out) if out else RESULTS
    for kind in parts.split(","):
        if kind == "memory":
            found = compare_memory(hardware)
        else:
            found = compare_speed(hardware, rounds) if kind == "speed" else compare_time(peer=True)
        row = append("planner", {"hardware": hardware.name, "calibrated": hardware.calibrated, **found}, results)
        print(json.dumps({k: row[k] for k in ("worst_error", "right", "share", "seconds") if k in row}), flush=True)


if __name__ == "__main__":
    from benchmarks.harness import run_command

    sys.exit(run_command(main, "benchmarks.planner"))
