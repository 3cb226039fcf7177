"""The planner's benchmark: its cases are whole, and its fit finds costs that are known."""

from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.planner import __main__ as planner
from benchmarks.planner.cases import RANKS, Case, calibration, memory_ladder, speed_families
from benchmarks.planner.cost_floors import floors
from benchmarks.planner.fit_costs import NAMES, Measured, fit, work
from embeddings.planner.hardware import Speed, load_hardware
from embeddings.planner.topology import Topology

HOST = load_hardware("cpu-host")
ALL = [*memory_ladder(), *calibration(), *(case for cases in speed_families().values() for case in cases)]


@pytest.mark.parametrize("case", ALL, ids=lambda c: c.name)
def test_cases_have_the_types_that_they_name(case: Case) -> None:
    problem, best = planner.prepared(case, HOST)
    assert best.topology.world_size == RANKS and best.shortage == (0, 0)
    for table in problem.tables:
        wanted = case.types.get(table.name, case.every)
        assert wanted is None or best.plan.tables[table.name].sharding_type == wanted


def test_families_compare_different_plans_and_are_not_those_that_calibrate():
    seen = {tuple(c.tables.tables.items()) for c in calibration()}
    for name, cases in speed_families().items():
        plans = [planner.prepared(c, HOST)[1].plan.tables for c in cases]
        assert sum(plans[0] != p for p in plans) >= 3, name
        assert all(tuple(c.tables.tables.items()) not in seen for c in cases)


def test_a_large_table_is_on_the_ladder():
    assert any(t[:2] == (50_000_000, 16) for case in memory_ladder() for t in case.tables.tables.values())


def test_fit_finds_known_costs():
    true = Speed(step_ms=3.0, gflop_ms=5.0, activation_ns=4.0, exchange_us=900.0, pooled_id_ns=300.0, byte_ns=0.05,
                 sequence_id_ns=800.0, wire_ns=1.5, rearranged_ns=6.0, replicated_ns=7.0)  # fmt: skip
    costs = np.array([getattr(true, n) or 0.0 for n in NAMES])
    measured = []
    for case in calibration():
        problem, best = planner.prepared(case, HOST)
        done = work(problem, best.plan, HOST)
        measured.append(Measured(problem, best.plan, float((done @ costs).max())))
    found, predicted = fit(measured, HOST, Speed())
    assert predicted == pytest.approx([m.step_ms for m in measured], rel=0.02)
    assert found.step_ms == pytest.approx(3, rel=0.1) and found.sequence_id_ns == pytest.approx(800, rel=0.1)


def test_no_fitted_cost_is_below_its_floor():
    """Steps that know one cost alone: the others are at their floors, and the one makes up for them."""
    least = Speed(byte_ns=0.05, wire_ns=0.1, vector_ns=0.3, activation_ns=0.4)
    only = np.array([10.0 if n == "step_ms" else 0.0 for n in NAMES])
    measured = []
    for case in calibration():
        problem, best = planner.prepared(case, HOST)
        measured.append(Measured(problem, best.plan, float((work(problem, best.plan, HOST) @ only).max())))
    found, _ = fit(measured, HOST, least)
    for name in NAMES:
        assert getattr(found, name) >= (getattr(least, name) or 0.0), name
    assert found.vector_ns == 0.3 and found.byte_ns == 0.05 and 0 < found.step_ms < 10
    free, _ = fit(measured, HOST, Speed())
    assert free.byte_ns == pytest.approx(0, abs=1e-6) and free.step_ms == pytest.approx(10, rel=1e-3)


def test_floors_are_costs():
    found = floors(1 << 22)
    for name in NAMES:
        if name not in ("step_ms", "exchange_us"):
            assert getattr(found, name) > 0, name


def test_no_shipped_cost_is_free():
    assert all(getattr(HOST.speed, name) for name in NAMES)


def test_work_is_what_the_planner_counts():
    """Unit by unit and all at once come to the same step."""
    case = calibration()[-1]
    problem, best = planner.prepared(case, HOST)
    costs = np.array([getattr(HOST.speed, n) or 0.0 for n in NAMES])
    step = float((work(problem, best.plan, HOST) @ costs).max())
    from embeddings.planner.plan_cost import cost_plan

    whole = HOST.with_(speed=Speed(**{n: float(c) for n, c in zip(NAMES, costs, strict=True)}))
    assert step == pytest.approx(cost_plan(best.plan, problem, Topology.of(whole, RANKS)).step_ms)


def test_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a machine that does what the planner says, memory is right and so is every pair."""
    plans: list = []

    def train(cases: Sequence[Case], given: Sequence) -> list:
        plans[:] = given
        found = []
        for case in cases:
            _, best = planner.prepared(case, HOST)
            held = [float(b) + HOST.process_gib * 2**30 for b in best.device_bytes]
            found.append([{"step_ms": best.step_ms, "bytes": b, "peak_bytes": 1.25 * b} for b in held])
        return found

    monkeypatch.setattr(planner, "train", train)
    row = planner.compare_memory(HOST)
    assert row["worst_error"] == pytest.approx(0.2, abs=1e-3)
    speed = planner.compare_speed(HOST, 2)
    assert speed["share"] == 1.0 and speed["pairs"] == speed["right"] >= 40
