"""Bytes of a process's mappings, added up by file."""

from benchmarks.frozen.host_memory_rank import mapped_bytes

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


def test_mappings_are_added_up_by_name():
    assert mapped_bytes(SMAPS) == {"resident_bytes": 37 * 1024, "proportional_bytes": 20 * 1024}
    assert mapped_bytes(SMAPS, "/vectors.npy") == {"resident_bytes": 32 * 1024, "proportional_bytes": 16 * 1024}
