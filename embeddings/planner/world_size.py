"""The smallest world size on which a run's tables fit."""

from embeddings.planner.cost_model import dense_bytes
from embeddings.planner.hardware import MOST_RANKS, Hardware
from embeddings.planner.no_plan import NoPlan
from embeddings.planner.plan_cost import CostedPlan
from embeddings.planner.plan_search import PlanSearch
from embeddings.planner.planner_input import PlannerInput
from embeddings.planner.topology import Topology


def find_plan(
    planner_input: PlannerInput, hardware: Hardware, world_size: int, first: bool = False
) -> CostedPlan | None:
    """The best plan at one world size; None where nothing fits.

    Args:
        first: the first plan that fits will do.

    Raises InputError for what no world size fixes.
    """
    search = PlanSearch(planner_input, Topology.of(hardware, world_size))
    if hardware.device == "cuda" and _too_large(search):  # a search that finds nothing takes longest
        return None
    try:
        return search.best(first=first)
    except NoPlan:
        return None


def _too_large(search: PlanSearch) -> bool:
    """Whether all memory is too little for the tables' smallest shards and the dense part, frozen tables aside."""
    topology = search.topology
    dense = sum(dense_bytes(search.planner_input))
    tables = sum(min(o.total_bytes for o in of_table) for of_table in search.options.values())
    return tables > topology.world_size * (topology.capacity[0] - dense)


def find_world_size(
    planner_input: PlannerInput, hardware: Hardware, more_than: int = 0, first: bool = False
) -> CostedPlan | None:
    """The plan of the smallest world size above ``more_than`` that fits; None where none up to MOST_RANKS does.

    Args:
        first: the first plan of that size will do, not the best.

    Sizes are 1 to a host's ranks, then whole hosts: doubled until one fits, then halved in between, as more hosts never
    hold less.
    """
    local = hardware.local_world_size
    for world_size in range(more_than + 1, local + 1):
        if (plan := find_plan(planner_input, hardware, world_size, first)) is not None:
            return plan
    low = max(1, more_than // local)  # hosts that are too few
    high, most, best = low, MOST_RANKS // local, None
    while best is None:
        if high >= most:
            return None
        low, high = high, min(2 * high, most)
        best = find_plan(planner_input, hardware, high * local, first)
    while high - low > 1:
        middle = (low + high) // 2
        plan = find_plan(planner_input, hardware, middle * local, first)
        low, high, best = (low, middle, plan) if plan is not None else (middle, high, best)
    return best
