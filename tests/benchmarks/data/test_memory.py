"""Memory stays flat while reading, and the measurement notices where it does not."""

from pathlib import Path

import pytest

from benchmarks.data.memory import disk_bytes, make_shop, read_under_limit, slope


def test_slope_looks_at_the_second_half_alone():
    rows = list(range(0, 100, 10))
    assert slope(rows, [7 * r if r < 50 else 350 for r in rows]) == pytest.approx(0)
    assert slope(rows, [7 * r + 5 for r in rows]) == pytest.approx(7)


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("memory") / "shop"
    make_shop(str(folder), 1_000_000)
    return folder


LIMIT = 96 << 20
READ = {"batch_size": 1024, "shuffle_rows": 16_384}


@pytest.mark.slow
def test_memory_stays_flat_under_a_limit_below_the_data(shop: Path):
    found = read_under_limit(str(shop), LIMIT, **READ)
    assert "failed" not in found, found
    assert found["decoded_bytes"] > 2 * LIMIT and disk_bytes(str(shop)) > 0
    assert found["peak_bytes"] < LIMIT
    a_tenth_of_what_is_read = found["decoded_bytes"] / found["rows"] * 1e6 / 10
    assert abs(found["slope_bytes_per_mrow"]) < a_tenth_of_what_is_read


@pytest.mark.slow
def test_a_reader_that_keeps_its_batches_breaks_the_limit(shop: Path):
    assert "Memory" in read_under_limit(str(shop), LIMIT, **READ, keep=True)["failed"]
