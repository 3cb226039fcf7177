"""Tables of the planner's memory and step times."""

from benchmarks.planner.tables import planner_memory, planner_speed
from tests.benchmarks.table_cells import cells


def test_the_planners_newest_row_is_drawn():
    case = {"case": "a table", "types": ["row_wise"], "planned_bytes": [2**20, 2**21], "peak_bytes": [2**20, 2**20],
            "error": [0.0, 1.0]}  # fmt: skip
    rows = [{"kind": "memory", "cases": []}, {"kind": "memory", "cases": [case]}]
    _, _, line = cells(planner_memory(rows))
    assert line == ["a table", "row_wise", "1 MiB, 2 MiB", "1 MiB, 1 MiB", "+0.0 %, +100.0 %"]
    family = {"family": "ids", "plans": ["a", "b"], "planned_ms": [1.2, 2.6], "measured_ms": [3.0, 4.0], "pairs": 1,
              "right": 1}  # fmt: skip
    rows.append({"kind": "speed", "families": [family], "pairs": 4, "right": 3, "share": 0.75})
    _, _, line, last = cells(planner_speed(rows))
    assert line == ["ids", "a 1 / 3; b 3 / 4", "1 of 1"] and last == ["all", "", "3 of 4, 75 %"]
