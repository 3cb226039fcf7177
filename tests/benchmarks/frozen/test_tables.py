"""Tables of frozen vectors over ranks and in host memory."""

from benchmarks.frozen.tables import over_ranks, placements
from tests.benchmarks.table_cells import cells


def test_frozen_tables_are_held_against_fetching():
    contenders = {
        "fetch": {"median": 80.0, "bytes": 40_000_000},
        "ours int8, SimTier": {"median": 8.0, "bytes": 400_000},
    }
    row = {
        "case": "row_wise",
        "ranks": 2,
        "contenders": contenders,
        "bytes_of_peer": {"fetch": 1.0, "ours int8, SimTier": 0.01},
        "time_of_peer": {"fetch": 1.0, "ours int8, SimTier": 0.1},
    }
    held = {"map": {"proportional_bytes": 10 << 20}, "grown_proportional_bytes": 12 << 20, "step_ms": 3.0}
    host = {
        "case": "host",
        "rows": 2000,
        "width": 8,
        "dtype": "int8",
        "table_bytes": 20 << 20,
        "held": {"host": [held] * 2},
    }
    lines = cells(over_ranks([host, {**row, "contenders": {}}, row]))[2:]
    assert lines == [
        ["2", "TorchRec fetches the vectors", "40.00 MB", "1/1", "80.0 ms", "1.00x"],
        ["2", "row_wise int8, SimTier", "0.40 MB", "1/100", "8.0 ms", "0.10x"],
    ]
    assert cells(placements([row, host]))[2] == [
        "host", "2,000 x 8 int8, 20 MiB", "2", "20 MiB", "24 MiB", "3.0 ms",
    ]  # fmt: skip
