"""Cores by affinity, and CPU quotas of control groups in a file tree made for them."""

import pytest

from embeddings import host_cores as module
from embeddings.host_cores import host_cores
from tests.embeddings.group_tree import group_tree

JOB = "0::/slurm/job_7/step_0\n"
ONE = "4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n"


@pytest.mark.parametrize(
    ("groups", "limits", "wanted"),
    [
        ("0::/\n", {"cpu.max": "50000 100000"}, 0.5),  # a container
        ("0::/\n", {"cpu.max": "max 100000"}, 8),
        ("0::/\n", {"cpu.max": "max"}, 8),
        ("0::/\n", {"cpu.max": "1600000 100000"}, 8),  # more than the affinity
        (JOB, {"slurm/job_7/step_0/cpu.max": "max 100000", "slurm/job_7/cpu.max": "150000 100000"}, 1.5),
        (JOB, {"slurm/job_7/step_0/cpu.max": "300000 100000", "slurm/cpu.max": "250000 100000"}, 2.5),
        (JOB, {"slurm/job_8/cpu.max": "50000 100000"}, 8),  # another job's
        (ONE, {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        (
            ONE,
            {"cpu,cpuacct/docker/cpu.cfs_quota_us": 25000, "cpu,cpuacct/docker/cpu.cfs_period_us": 50000},
            0.5,
        ),
        (ONE, {"cpu/docker/abc/cpu.cfs_quota_us": -1, "cpu/docker/abc/cpu.cfs_period_us": 100000}, 8),
        (ONE, {"cpu/docker/abc/cpu.cfs_quota_us": 50000}, 8),  # half of a limit is none
        (ONE, {"memory/docker/abc/cpu.cfs_quota_us": 1, "memory/docker/abc/cpu.cfs_period_us": 100000}, 8),
        ("", {}, 8),
    ],
)
def test_the_least_quota_around_this_process(tmp_path, monkeypatch, groups, limits, wanted):
    monkeypatch.setattr(module, "affinity_cores", lambda: 8)
    assert host_cores(group_tree(tmp_path, groups, limits)) == wanted


def test_without_control_groups_it_is_the_affinity(tmp_path, monkeypatch):
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert host_cores(tmp_path) == 3
