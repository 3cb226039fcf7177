"""Small runs of the benchmark of frozen tables."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks.frozen.compare import build_random_store, host, row_wise

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and tcp_info")


@LINUX
@pytest.mark.slow
def test_a_small_run_is_below_its_peer_in_network_bytes(tmp_path: Path):
    row = row_wise(tmp_path, ranks=2, rounds=1, rows=5000, targets=8)
    assert row["bytes_of_peer"]["fetch"] == 1
    # 8 targets of 1000 behaviours: half of the ids go to the other rank, 4 bytes each; the peer brings 512 bytes each
    ours = row["contenders"]["ours float32, SimTier"]["bytes"]
    assert 2 * 8 * 500 * 4 < ours < 2 * 8 * (500 * 4 + 2000)
    assert row["contenders"]["fetch"]["bytes"] > 2 * 8 * 500 * 512
    assert row["bytes_of_peer"]["ours float32, SimTier and MAKE"] < 1 / 20


@LINUX
@pytest.mark.slow
def test_ranks_of_a_host_share_the_map(tmp_path: Path):
    row = host(tmp_path, rows=100_000)
    size = 100_000 * 128
    shared = sum(rank["map"]["proportional_bytes"] for rank in row["held"]["host"])
    assert size <= shared < 1.01 * size + 2 * 4096
    assert all(rank["map"]["resident_bytes"] >= size for rank in row["held"]["host"])
    assert all(rank["map"]["resident_bytes"] == 0 for rank in row["held"]["replicated"])
    assert json.dumps(row)


def test_a_store_is_built_once(tmp_path: Path):
    first = build_random_store(tmp_path, 300, "int8")
    before = (Path(first) / "meta.json").stat().st_mtime_ns
    assert build_random_store(tmp_path, 300, "int8") == first
    assert (Path(first) / "meta.json").stat().st_mtime_ns == before
    assert json.loads((Path(first) / "meta.json").read_text())["count"] == 300
