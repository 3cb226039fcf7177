"""Cases of the planner's benchmark have the plans that they name."""

import pytest

from benchmarks.planner.cases import RANKS, Case, calibration, memory_ladder, speed_families
from benchmarks.planner.runs import plan_case
from embeddings.planner.hardware import load_hardware

HOST = load_hardware("cpu-host")
ALL = [*memory_ladder(), *calibration(), *(case for cases in speed_families().values() for case in cases)]


@pytest.mark.parametrize("case", ALL, ids=lambda c: c.name)
def test_cases_have_the_types_that_they_name(case: Case) -> None:
    planner_input, best = plan_case(case, HOST)
    assert best.topology.world_size == RANKS and best.shortage == (0, 0)
    for table in planner_input.tables:
        wanted = case.types.get(table.name, case.every)
        assert wanted is None or best.plan.tables[table.name].sharding_type == wanted


def test_families_compare_different_plans_and_are_not_those_that_calibrate():
    seen = {tuple(c.tables.tables.items()) for c in calibration()}
    for name, cases in speed_families().items():
        plans = [plan_case(c, HOST)[1].plan.tables for c in cases]
        assert sum(plans[0] != p for p in plans) >= 3, name
        assert all(tuple(c.tables.tables.items()) not in seen for c in cases)


def test_a_large_table_is_on_the_ladder():
    assert any(t[:2] == (50_000_000, 16) for case in memory_ladder() for t in case.tables.tables.values())
