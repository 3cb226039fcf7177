"""Calibration of the planner's unit costs: trains cases on this machine, and fits a hardware file to them."""

import datetime
from pathlib import Path
from typing import Any

from benchmarks.harness import machine
from benchmarks.planner.cases import RANKS, calibration
from benchmarks.planner.runs import plan_case, step_ms, train


def calibrate(path: Path, hardware: Any) -> Any:
    """Measure this machine and write its hardware file: unit costs, and what a process holds before its tables."""
    from benchmarks.planner.cost_floors import floors
    from benchmarks.planner.fit_costs import Measured, fit
    from embeddings.planner.hardware import GIB, save_hardware

    cases = calibration()
    planned = [plan_case(case, hardware) for case in cases]
    (smallest,) = train(cases[-1:], [planned[-1][1].plan])
    process = max(r["peak_bytes"] for r in smallest) - float(planned[-1][1].device_bytes.max())
    trained = train(cases, [a.plan for _, a in planned])
    measured = [Measured(p, a.plan, step_ms(r)) for (p, a), r in zip(planned, trained, strict=True)]
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
