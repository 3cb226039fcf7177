"""Memory of the host, and limits of control groups in a file tree made for it."""

import os

import pytest

from embeddings.host_memory import host_bytes
from tests.embeddings.group_tree import group_tree

WHOLE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
TWO = "12:memory,hugetlb:/docker/abc\n3:cpu,cpuacct:/docker/abc\n"
JOB = "0::/system.slice/slurm/job_7/step_0\n"
NONE = 9223372036854771712  # what version 1 says where nothing is set


@pytest.mark.parametrize(
    ("groups", "limits", "wanted"),
    [
        ("0::/\n", {"memory.max": 3 << 20}, 3 << 20),  # a container
        ("0::/\n", {"memory.max": "max"}, WHOLE),
        ("0::/\n", {"memory.max": 4 * WHOLE}, WHOLE),
        ("0::/../other\n", {"memory.max": 3 << 20}, 3 << 20),
        (JOB, {"system.slice/slurm/job_7/memory.max": 5 << 20}, 5 << 20),
        (
            JOB,
            {
                "system.slice/slurm/job_7/step_0/memory.max": 6 << 20,
                "system.slice/slurm/job_7/memory.max": 5 << 20,
                "system.slice/memory.max": "max",
            },
            5 << 20,
        ),
        (JOB, {"system.slice/slurm/job_8/memory.max": 5 << 20}, WHOLE),  # another job's
        (TWO, {"memory/memory.limit_in_bytes": 7 << 20}, 7 << 20),  # a container that does not see its host's groups
        (TWO, {"memory/docker/abc/memory.limit_in_bytes": 8 << 20, "memory/memory.limit_in_bytes": NONE}, 8 << 20),
        (TWO, {"cpu/docker/abc/memory.limit_in_bytes": 8 << 20}, WHOLE),
        ("", {}, WHOLE),
    ],
)
def test_the_least_limit_around_this_process(tmp_path, groups, limits, wanted):
    assert host_bytes(group_tree(tmp_path, groups, limits)) == wanted


def test_without_control_groups_it_is_all_of_the_host(tmp_path):
    assert host_bytes(tmp_path) == WHOLE
