"""The smallest world size on which a run's tables fit."""

import pytest

from embeddings.planner.planner_input import ModelCost
from embeddings.planner.world_size import find_plan, find_world_size
from tests.embeddings.planner.planner_inputs import BIG, cuda, planner_input


@pytest.mark.parametrize("hbm_gib", [6.0, 1.5, 0.4, 0.05])
def test_the_smallest_world_size_that_fits(hbm_gib: float) -> None:
    hardware = cuda(1, hbm_gib).hardware
    costed = find_world_size(BIG, hardware)
    size = costed.topology.world_size
    assert costed.shortage == (0, 0) and size * hbm_gib > 4.9
    smaller = size - 1 if size <= 8 else size - 8
    assert smaller == 0 or find_plan(BIG, hardware, smaller) is None


def test_no_world_size_fixes_a_dense_part_that_is_too_large():
    assert find_world_size(planner_input(model_cost=ModelCost(parameters=10**9)), cuda(1).hardware) is None
    three = cuda(1).hardware.with_(local_world_size=3)  # of which no number of hosts is MOST_RANKS
    assert find_world_size(planner_input(model_cost=ModelCost(parameters=10**9)), three) is None
