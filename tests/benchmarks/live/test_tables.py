"""Tables of the live index: newest rows, each contender a line."""

from benchmarks.live.tables import look_ups, readers

FOUND = {"median": 9_000_000.4, "written_per_s": 10_000, "put_p99_ms": 41.6}
ROW = {"case": "index", "ids": 1000, "width": 4, "readers": 2}


def test_look_ups():
    old = {**ROW, "what": "look-ups", "contenders": {"lmdb": FOUND}}
    new = {**ROW, "what": "look-ups", "contenders": {"index": FOUND, "redis": {**FOUND, "median": 5e4}}}
    lines = look_ups([old, new, {**ROW, "what": "memory"}]).splitlines()[2:]
    assert lines == ["| 1,000 | live index | 9,000,000 | 10,000 | 42 |", "| 1,000 | Redis | 50,000 | 10,000 | 42 |"]


def test_readers():
    times = {"index_kernel_us": 1000.0, "index_whole_us": 2000.0, "store_kernel_us": 900.0, "store_whole_us": 9000.0}
    memory = {"vectors_bytes": 2**20, "pss": [{"readers": 4, "bytes": 2**22, "vectors_bytes": 2**20}]}
    lines = readers([{**ROW, "what": "simtier", **times}, {**ROW, "what": "memory", **memory}]).splitlines()[2:]
    assert lines[0] == "| SimTier, 1,000 ids | 1.0 ms | 0.9 ms through the store |"
    assert lines[2] == "| vectors in 4 readers, all together | 1 MiB | of 1 MiB on disk; 4 MiB in all |"
