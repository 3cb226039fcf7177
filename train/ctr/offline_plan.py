"""Planning without a run: the hardware that is planned for, and what a given plan.json costs on it."""

from embeddings.planner.check_plan import check_plan
from embeddings.planner.hardware import Hardware, load_hardware
from embeddings.planner.plan_cost import CostedPlan, cost_plan
from embeddings.planner.plan_json import load_plan
from embeddings.planner.planner_input import PlannerInput
from embeddings.planner.topology import Topology


def planned_hardware(part: str, world_size: int | None, local_world_size: int | None) -> Hardware:
    """The hardware called ``part``: a shipped one, a YAML file, or "this" machine. Raises InputError.

    Args:
        world_size: ranks in all, where that is known; on CPU this machine then holds all of them.
        local_world_size: ranks of a host; None: the hardware's own.
    """
    if part == "this":
        import torch  # slow to import, and shipped parts need none

        from embeddings.sharding import this_machine

        here = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        local_world_size = local_world_size or (torch.cuda.device_count() if here.type == "cuda" else world_size or 1)
        hardware = this_machine(here, local_world_size)
    else:
        hardware = load_hardware(part)
    return hardware if local_world_size is None else hardware.with_(local_world_size=local_world_size)


def cost_given_plan(
    path: str, planner_input: PlannerInput, hardware: Hardware, topology: Topology | None = None
) -> CostedPlan:
    """A plan.json with its memory and time on ``topology``; None: on ``hardware`` with the ranks that it is for.

    Raises InputError where it is not of these tables, ranks and device.
    """
    plan = load_plan(path)
    topology = topology or Topology(hardware, plan.world_size, plan.ranks_of_host)
    check_plan(plan, planner_input, topology.world_size, topology.ranks_of_host, hardware.device, path)
    return cost_plan(plan, planner_input, topology)
