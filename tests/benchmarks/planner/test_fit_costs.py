"""The fit of unit costs finds costs that are known, and none below its floor."""

import numpy as np
import pytest

from benchmarks.planner.cases import RANKS, calibration
from benchmarks.planner.fit_costs import NAMES, Measured, fit, work
from benchmarks.planner.runs import plan_case
from embeddings.planner.hardware import Speed, load_hardware
from embeddings.planner.plan_cost import cost_plan
from embeddings.planner.topology import Topology

HOST = load_hardware("cpu-host")


def test_fit_finds_known_costs():
    true = Speed(step_ms=3.0, gflop_ms=5.0, activation_ns=4.0, exchange_us=900.0, pooled_id_ns=300.0, byte_ns=0.05,
                 sequence_id_ns=800.0, wire_ns=1.5, rearranged_ns=6.0, replicated_ns=7.0)  # fmt: skip
    costs = np.array([getattr(true, n) or 0.0 for n in NAMES])
    measured = []
    for case in calibration():
        planner_input, best = plan_case(case, HOST)
        done = work(planner_input, best.plan, HOST)
        measured.append(Measured(planner_input, best.plan, float((done @ costs).max())))
    fitted, predicted = fit(measured, HOST, Speed())
    assert predicted == pytest.approx([m.step_ms for m in measured], rel=0.02)
    assert fitted.step_ms == pytest.approx(3, rel=0.1) and fitted.sequence_id_ns == pytest.approx(800, rel=0.1)


def test_no_fitted_cost_is_below_its_floor():
    """Steps that know one cost alone: the others are at their floors, and the one makes up for them."""
    least = Speed(byte_ns=0.05, wire_ns=0.1, vector_ns=0.3, activation_ns=0.4)
    only = np.array([10.0 if n == "step_ms" else 0.0 for n in NAMES])
    measured = []
    for case in calibration():
        planner_input, best = plan_case(case, HOST)
        measured.append(Measured(planner_input, best.plan, float((work(planner_input, best.plan, HOST) @ only).max())))
    fitted, _ = fit(measured, HOST, least)
    for name in NAMES:
        assert getattr(fitted, name) >= (getattr(least, name) or 0.0), name
    assert fitted.vector_ns == 0.3 and fitted.byte_ns == 0.05 and 0 < fitted.step_ms < 10
    free, _ = fit(measured, HOST, Speed())
    assert free.byte_ns == pytest.approx(0, abs=1e-6) and free.step_ms == pytest.approx(10, rel=1e-3)


def test_no_shipped_cost_is_free():
    assert all(getattr(HOST.speed, name) for name in NAMES)


def test_work_is_what_the_planner_counts():
    """Unit by unit and all at once come to the same step."""
    case = calibration()[-1]
    planner_input, best = plan_case(case, HOST)
    costs = np.array([getattr(HOST.speed, n) or 0.0 for n in NAMES])
    step = float((work(planner_input, best.plan, HOST) @ costs).max())
    whole = HOST.with_(speed=Speed(**{n: float(c) for n, c in zip(NAMES, costs, strict=True)}))
    assert step == pytest.approx(cost_plan(best.plan, planner_input, Topology.of(whole, RANKS)).step_ms)
