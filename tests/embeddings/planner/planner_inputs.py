"""Small inputs and topologies for the planner's tests."""

from typing import Any

from embeddings.planner.hardware import Hardware, Speed
from embeddings.planner.plan_search import PlanSearch
from embeddings.planner.planner_input import FrozenInput, PlannerInput, TableInput
from embeddings.planner.sharding_plan import ShardingPlan
from embeddings.planner.topology import Topology

MIB = 2**20


def table(name: str, rows: int = 1000, columns: int = 16, pooled: bool = True, *lengths: float) -> TableInput:
    module = "sparse.bags" if pooled else "sparse.sequences"
    return TableInput(
        name=name, rows=rows, columns=columns, module=module, pooled=pooled, mean_length=lengths or (1.0,)
    )


def planner_input(*tables: TableInput, **more: Any) -> PlannerInput:
    return PlannerInput(tables=tables, **{"batch_size": 64, **more})


BIG = planner_input(table("big", 40_000_000, 32), table("small", 1000, 32))  # 4.9 GiB


def cuda(world_size: int, hbm_gib: float = 1.0, local: int = 8, **more: Any) -> Topology:
    settings: dict[str, Any] = {
        "name": "part", "device": "cuda", "hbm_gib": hbm_gib, "hbm_gb_per_s": 1000.0, "ddr_gib": 64.0, "tflops": 100.0,
        "ddr_gb_per_s": 100.0, "pcie_gb_per_s": 20.0, "intra_gb_per_s": 200.0, "inter_gb_per_s": 20.0, "spare": 0.0,
        "speed": Speed(exchange_us=100.0),
    }  # fmt: skip
    return Topology.of(Hardware(**{**settings, "local_world_size": local, **more}), world_size)


def cpu(world_size: int, ddr_gib: float = 16.0, local: int = 8, **more: Any) -> Topology:
    settings: dict[str, Any] = {
        "name": "host", "device": "cpu", "ddr_gib": ddr_gib, "ddr_gb_per_s": 10.0, "intra_gb_per_s": 2.0,
        "inter_gb_per_s": 1.0, "spare": 0.0,
    }  # fmt: skip
    return Topology.of(Hardware(**{**settings, "local_world_size": local, **more}), world_size)


def three_tables(**more: Any) -> PlannerInput:
    """ID table a of 1000 x 32, sequence table s of 77 x 16 and frozen table v of 10 x 4."""
    vectors = FrozenInput(name="v", rows=10, width=4, dtype="float32")
    return planner_input(table("a", columns=32), table("s", 77, 16, False), **{"frozen": (vectors,), **more})


def plan_of(asked: PlannerInput) -> ShardingPlan:
    """Its best plan on four ranks of two hosts."""
    return PlanSearch(asked, cuda(4, local=2)).best().plan
