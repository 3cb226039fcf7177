"""The smallest number of ranks that a problem fits on."""

from embeddings.planner.bin_packing import NoPlan
from embeddings.planner.cost_model import Machine, dense_bytes
from embeddings.planner.hardware import Hardware
from embeddings.planner.plan_cost import Assessment
from embeddings.planner.planner_input import Problem
from embeddings.planner.search import Search

MOST_RANKS = 8192


def fits(problem: Problem, hardware: Hardware, world_size: int, first: bool = False) -> Assessment | None:
    """The best plan at one world size, or the first; None where nothing fits.

    Raises InputError for what no world size mends.
    """
    search = Search(problem, Machine.of(hardware, world_size))
    if hardware.device == "cuda" and _too_large(search):  # a search that finds nothing takes longest
        return None
    try:
        return search.best(first=first)
    except NoPlan:
        return None


def _too_large(search: Search) -> bool:
    """Whether all memory is too little for the tables' smallest shards and the dense part, frozen tables aside."""
    machine = search.machine
    dense = sum(dense_bytes(search.problem.dense, search.problem))
    tables = sum(min(o.total_bytes for o in found) for found in search.options.values())
    return tables > machine.world_size * (machine.capacity[0] - dense)


def find_world_size(problem: Problem, hardware: Hardware, more_than: int = 0, first: bool = False) -> Assessment | None:
    """The plan of the smallest world size that fits, the best or the first; None up to MOST_RANKS.

    Sizes are 1 to a host's ranks, then whole hosts: doubled until one fits, then halved in between, as more hosts never
    hold less.
    """
    local = hardware.local_world_size
    for world_size in range(more_than + 1, local + 1):
        if (found := fits(problem, hardware, world_size, first)) is not None:
            return found
    low = max(1, more_than // local)  # hosts that are too few
    high, most, best = low, MOST_RANKS // local, None
    while best is None:
        if high >= most:
            return None
        low, high = high, min(2 * high, most)
        best = fits(problem, hardware, high * local, first)
    while high - low > 1:
        middle = (low + high) // 2
        found = fits(problem, hardware, middle * local, first)
        low, high, best = (low, middle, found) if found is not None else (middle, high, best)
    return best
