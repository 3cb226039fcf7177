"""Memory stays flat while reading, and the measurement notices where it does not."""

from pathlib import Path

import pytest

from benchmarks.data.memory import build_shop, disk_bytes, read_under_limit, slope
from embeddings.errors import InputError


def test_slope_looks_at_the_second_half_alone():
    rows = list(range(0, 100, 10))
    assert slope(rows, [7 * r if r < 50 else 350 for r in rows]) == pytest.approx(0)
    assert slope(rows, [7 * r + 5 for r in rows]) == pytest.approx(7)


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("memory") / "shop"
    build_shop(str(folder), 1_000_000)
    return folder


LIMIT = 96 << 20
READ = {"batch_size": 1024, "shuffle_rows": 16_384}


@pytest.mark.slow
def test_memory_stays_flat_under_a_limit_below_the_data(shop: Path):
    row = read_under_limit(str(shop), LIMIT, **READ)
    assert row["decoded_bytes"] > 2 * LIMIT and disk_bytes(str(shop)) > 0
    assert row["peak_bytes"] < LIMIT
    a_tenth_of_what_is_read = row["decoded_bytes"] / row["rows"] * 1e6 / 10
    assert abs(row["slope_bytes_per_mrow"]) < a_tenth_of_what_is_read


@pytest.mark.slow
def test_a_reader_that_keeps_its_batches_breaks_the_limit(shop: Path):
    with pytest.raises(InputError, match=r"reading failed under a limit of 96 MiB: .*: out of memory"):
        read_under_limit(str(shop), LIMIT, **READ, keep=True)
