"""A topology's hosts, capacity and time of sending bytes."""

import pytest

from embeddings.planner.hardware import GIB
from tests.embeddings.planner.planner_inputs import cpu, cuda


def test_other_hosts_are_further():
    near, far = cuda(8).wire_ms(1e6), cuda(16).wire_ms(1e6)
    assert near == pytest.approx(1e6 / 200e9 * 1e3)
    assert far == pytest.approx(1e6 * (7 / 15 / 200e9 + 8 / 15 / 20e9) * 1e3)


def test_ranks_fill_hosts():
    assert (cuda(4, local=8).ranks_of_host, cuda(4, local=8).hosts) == (4, 1)
    assert (cuda(16, local=8).ranks_of_host, cuda(16, local=8).hosts) == (8, 2)


def test_capacity_is_of_one_rank():
    assert cuda(4, hbm_gib=2.0, ddr_gib=64.0).capacity == (2 * GIB, 16 * GIB)
    assert cpu(4, ddr_gib=16.0).capacity == (4 * GIB, 0)
