"""Memory stays below what is converted, and the measurement notices where it does not."""

from pathlib import Path

import pytest

from benchmarks.data.conversion import build_shards, convert_under_limit, disk_bytes
from embeddings.errors import InputError

LIMIT = 240 << 20


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("conversion") / "source"
    build_shards(str(folder), 30_000, 300_000)
    assert disk_bytes(str(folder)) > 2 * LIMIT
    return str(folder)


@pytest.mark.slow
def test_shards_are_converted_under_a_limit_below_their_size(source: str, tmp_path: Path):
    row = convert_under_limit(source, str(tmp_path / "out"), LIMIT)
    assert row["rows"] == 33_000 and 0 < row["peak_bytes"] < LIMIT


@pytest.mark.slow
def test_a_converter_that_keeps_what_it_reads_breaks_the_limit(source: str, tmp_path: Path):
    with pytest.raises(InputError, match=r"converting failed under a limit of 240 MiB: .*(out of m|M)emory"):
        convert_under_limit(source, str(tmp_path / "out"), LIMIT, keep=True)
    assert not (tmp_path / "out").exists()
