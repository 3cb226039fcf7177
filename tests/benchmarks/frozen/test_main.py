"""What the benchmark of frozen tables measures with: bytes of sockets, bytes of mappings, and a small run of it."""

import json
import socket
import sys
from pathlib import Path

import pytest

from benchmarks.frozen.__main__ import host, make_store, row_wise
from benchmarks.frozen.host_memory_rank import held
from benchmarks.frozen.wire_bytes import sent_bytes

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and tcp_info")
SMAPS = """7f00-7f01 r--p 00000000 fe:00 12 /data/store/vectors.npy
Size: 40 kB
Rss: 32 kB
Pss: 16 kB
Pss_Dirty: 9 kB
VmFlags: rd mr mw me ac
7f02-7f03 rw-p 00000000 00:00 0
Rss: 5 kB
Pss: 4 kB
"""


def test_held_adds_up_mappings_by_name():
    assert held(SMAPS) == {"resident_bytes": 37 * 1024, "proportional_bytes": 20 * 1024}
    assert held(SMAPS, "/vectors.npy") == {"resident_bytes": 32 * 1024, "proportional_bytes": 16 * 1024}


@LINUX
def test_sent_bytes_are_those_of_this_process_alone():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as own:
        other, _ = server.accept()
        with other:
            before = sent_bytes()
            own.sendall(b"x" * 70_000)
            received = 0
            while received < 70_000:
                received += len(other.recv(1 << 16))
            assert sent_bytes() - before == 70_000


@LINUX
@pytest.mark.slow
def test_a_small_run_is_below_its_peer_on_the_wire(tmp_path: Path):
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
    found = host(tmp_path, rows=100_000)
    size = 100_000 * 128
    shared = sum(rank["map"]["proportional_bytes"] for rank in found["held"]["host"])
    assert size <= shared < 1.01 * size + 2 * 4096
    assert all(rank["map"]["resident_bytes"] >= size for rank in found["held"]["host"])
    assert all(rank["map"]["resident_bytes"] == 0 for rank in found["held"]["replicated"])
    assert json.dumps(found)


def test_a_store_is_built_once(tmp_path: Path):
    first = make_store(tmp_path, 300, "int8")
    before = (Path(first) / "meta.json").stat().st_mtime_ns
    assert make_store(tmp_path, 300, "int8") == first
    assert (Path(first) / "meta.json").stat().st_mtime_ns == before
    assert json.loads((Path(first) / "meta.json").read_text())["count"] == 300
