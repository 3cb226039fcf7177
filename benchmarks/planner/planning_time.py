"""How long a plan of 500 tables on 1,024 ranks takes, beside the first step of TorchRec's planner."""

import time
from typing import Any

import numpy as np

TABLES, RANKS, PART = 500, 1024, "h100-80"
_DIM, _BATCH, _LENGTH = 64, 4096, 3.0
_LARGE = 64 << 20  # bytes; TorchRec's list leaves smaller tables whole, or it would be longer still


def build_planner_input() -> Any:
    """500 tables of 10^3 to 3 x 10^8 rows; every tenth is of sequences."""
    from embeddings.planner.planner_input import ModelCost, PlannerInput, TableInput

    random = np.random.default_rng(0)
    tables = tuple(
        TableInput(
            name=f"t{i}",
            rows=int(10 ** random.uniform(3, 8.5)),
            columns=_DIM,
            module="sequences" if i % 10 == 0 else "bags",
            pooled=i % 10 != 0,
            mean_length=(_LENGTH,),
        )
        for i in range(TABLES)
    )
    cost = ModelCost(parameters=2_000_000, activations=20_000)
    return PlannerInput(tables=tables, batch_size=_BATCH, model_cost=cost)


def compare_time(peer: bool) -> dict[str, Any]:
    """Seconds of our planner for the whole plan; with ``peer``, of TorchRec's enumeration of the options alone."""
    from embeddings.planner.hardware import load_hardware
    from embeddings.planner.plan_search import PlanSearch
    from embeddings.planner.topology import Topology

    planner_input = build_planner_input()
    topology = Topology.of(load_hardware(PART), RANKS)
    start = time.perf_counter()
    best = PlanSearch(planner_input, topology).best()
    seconds = time.perf_counter() - start
    row = {
        "kind": "time",
        "tables": TABLES,
        "ranks": RANKS,
        "seconds": round(seconds, 2),
        "imbalance": round(best.imbalance, 3),
        "options": sum(len(o) for o in PlanSearch(planner_input, topology).options.values()),
    }
    return row | (_torchrec(planner_input) if peer else {})


def _torchrec(planner_input: Any) -> dict[str, Any]:
    from torch import nn
    from torchrec.distributed.planner import ParameterConstraints, Topology
    from torchrec.distributed.planner.enumerators import EmbeddingEnumerator

    from embeddings.sharding import sharders
    from embeddings.tables import TableConfig, bag_collection, sequence_collection

    configs = [
        TableConfig(name=t.name, num_embeddings=t.rows, embedding_dim=t.columns, features=(f"f_{t.name}",),
                    pooled=t.pooled, mean_length=t.mean_length)
        for t in planner_input.tables
    ]  # fmt: skip
    model = nn.Module()
    model.bags = bag_collection([t for t in configs if t.pooled])
    model.sequences = sequence_collection([t for t in configs if not t.pooled])
    free = {True: ["table_wise", "column_wise", "row_wise", "table_row_wise", "grid_shard"],
            False: ["table_wise", "column_wise", "row_wise"]}  # fmt: skip
    constraints = {
        t.name: ParameterConstraints(
            sharding_types=free[t.pooled] if t.bytes >= _LARGE else ["table_wise"],
            compute_kernels=["fused"],
            min_partition=32,
        )
        for t in planner_input.tables
    }
    topology = Topology(RANKS, "cuda", local_world_size=8, hbm_cap=80 << 30, ddr_cap=256 << 30)
    start = time.perf_counter()
    options = EmbeddingEnumerator(topology, batch_size=_BATCH, constraints=constraints).enumerate(model, sharders())
    return {"torchrec_list_s": round(time.perf_counter() - start, 2), "torchrec_options": len(options)}
