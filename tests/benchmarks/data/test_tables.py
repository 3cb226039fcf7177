"""Tables of memory while reading and converting."""

from benchmarks.data.tables import conversion, memory
from tests.benchmarks.table_cells import cells


def test_memory_is_the_newest_row():
    sizes = {"rows": 10**6, "disk_bytes": 50 << 20, "decoded_bytes": 400 << 20, "limit_bytes": 5 << 20}
    assert cells(memory([{**sizes, "peak_bytes": 4 << 20, "slope_bytes_per_mrow": 1 << 19}]))[2] == [
        "1,000,000", "50 MiB", "400 MiB", "5 MiB", "4 MiB", "+0.50 MiB",
    ]  # fmt: skip


def test_conversion():
    row = {"rows": 3000, "seconds": 1.5, "shapes": {"vectors": 70_000}, "limit_bytes": 9 << 20, "peak_bytes": 8 << 20}
    assert cells(conversion([{**row, "disk_bytes": 99 << 20}]))[2] == [
        "3,000", "70,000", "99 MiB", "9 MiB", "8 MiB", "2,000",
    ]  # fmt: skip
