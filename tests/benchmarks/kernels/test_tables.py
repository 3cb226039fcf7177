"""Tables of the kernels' times."""

from benchmarks.kernels.tables import sa_ta
from tests.benchmarks.table_cells import cells


def test_cosines_beside_the_counts_are_compared_with_one_pass():
    times = {"ours": 2000.0, "two passes": 3800.0, "gathered": 30_000.0, "SimTier alone": 1900.0}
    row = {"case": "sa_ta", "length": 200, "dtype": "int8", "allocator": "kept"}
    stale = {**row, "contenders": {name: {"median_us": 1.0} for name in times}}
    other = {"case": "shared", "allocator": "kept", "dtype": "int8", "contenders": {}}
    now = {**row, "contenders": {name: {"median_us": t} for name, t in times.items()}}
    assert cells(sa_ta([stale, other, now]))[2:] == [
        ["int8", "L = 200", "kept", "1.90 (0.95x)", "2.00", "3.80 (1.9x)", "30.00 (15x)"]
    ]
