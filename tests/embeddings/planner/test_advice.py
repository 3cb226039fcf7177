"""What is said when nothing fits: every change that is named does make it fit."""

import dataclasses
import re

import pytest

from embeddings.planner.advice import advice, shortage
from embeddings.planner.no_plan import NoPlan
from embeddings.planner.plan_search import PlanSearch
from embeddings.planner.planner_input import FrozenInput, ModelCost, PlannerInput
from embeddings.planner.table_constraint import TableConstraint
from embeddings.planner.topology import Topology
from embeddings.planner.world_size import find_plan
from tests.embeddings.planner.planner_inputs import BIG, cpu, cuda, planner_input, table


def failure(p: PlannerInput, ranks: int, hbm_gib: float = 1.0) -> tuple[str, str]:
    topology = cuda(ranks, hbm_gib)
    with pytest.raises(NoPlan) as none:
        PlanSearch(p, topology).best()
    return (
        advice(p, topology.hardware, ranks, none.value),
        shortage(p, topology.hardware, ranks, none.value),
    )


def test_memory_of_all_ranks_together():
    text, short = failure(BIG, 4)
    assert re.match(r"at least [\d.]+ GiB of HBM is needed and there is 4.00 GiB, [\d.]+ GiB too little", short)
    assert text.startswith(f"no plan fits 4 ranks of part: {short}") and "more ranks: 5 of part" in text
    assert find_plan(BIG, cuda(1).hardware, 5) is not None and find_plan(BIG, cuda(1).hardware, 4) is None


def test_three_changes_each_of_which_fits():
    text, _ = failure(BIG, 4)
    changes = re.findall(r"^  \d\. (.*)$", text, re.MULTILINE)
    assert len(changes) == 3 and "each of these makes it fit:" in text
    hardware = cuda(1).hardware
    for change in changes:
        if match := re.search(r"more ranks: (\d+)", change):
            assert find_plan(BIG, hardware, int(match[1])) is not None
        elif "fused_uvm_caching" in change:
            free = TableConstraint(compute_kernels=["fused_uvm_caching"])
            assert find_plan(dataclasses.replace(BIG, constraints={"big": free}), hardware, 4) is not None
        else:
            assert "larger devices: 4 of l4" in change


def test_a_table_that_may_not_be_split():
    whole = dataclasses.replace(BIG, constraints={"big": TableConstraint(sharding_types=["table_wise"])})
    text, short = failure(whole, 8)
    assert short.startswith("table 'big' finds no room: its smallest possible shard takes 4.9")
    assert short.endswith("types allowed to it: table_wise")
    assert "1. leave table 'big' free: drop sharding.tables.big" in text


def test_a_forbidden_split_is_blamed_before_memory_altogether():
    whole = dataclasses.replace(BIG, constraints={"big": TableConstraint(sharding_types=["table_wise"])})
    assert failure(whole, 4)[1].startswith("table 'big' finds no room")
    assert failure(BIG, 4)[1].startswith("at least 4.9")


def test_activations_that_are_too_large():
    p = planner_input(table("a"), model_cost=ModelCost(activations=10**7), batch_size=1024)
    text, short = failure(p, 2)
    assert short.startswith("dense part, activations and frozen tables alone need 38.1")
    match = re.search(r"data.batch_size=(\d+)", text)
    assert match and find_plan(dataclasses.replace(p, batch_size=int(match[1])), cuda(1).hardware, 2) is not None


@pytest.mark.parametrize(
    ("activations", "eval_activations", "said"),
    [
        (10**4, 10**5, r"evaluation: data.eval_batch_size=(?P<eval>\d+)"),
        (10**6, 10**2, r"step: data.batch_size=(?P<batch>\d+)$"),
        (10**6, 10**5, r"step: data.batch_size=(?P<batch>\d+) and data.eval_batch_size=(?P<eval>\d+)"),
    ],
)
def test_batches_that_are_too_large(activations: int, eval_activations: int, said: str) -> None:
    model_cost = ModelCost(activations=activations, eval_activations=eval_activations)
    p = planner_input(table("a"), model_cost=model_cost, batch_size=1024, eval_batch_size=8192)
    match = re.search(said, failure(p, 1)[0], re.MULTILINE)
    assert match
    sizes = {f"{name}_size".replace("eval", "eval_batch"): int(n) for name, n in match.groupdict().items()}
    assert find_plan(p, cuda(1).hardware, 1) is None
    assert find_plan(dataclasses.replace(p, **sizes), cuda(1).hardware, 1) is not None


def test_larger_hosts_of_cpus() -> None:
    # 4.9 GiB a copy; no number of ranks helps a table that must be whole
    p = planner_input(table("big", 40_000_000, 32), default_constraint=TableConstraint(sharding_types=["table_wise"]))
    topology = cpu(2, 4.0, local=2)
    with pytest.raises(NoPlan) as none:
        PlanSearch(p, topology).best()
    text = advice(p, topology.hardware, 2, none.value)
    assert "larger hosts: 16 GiB of memory each instead of 4" in text
    assert find_plan(p, topology.hardware.with_(ddr_gib=8.0), 2) is None
    assert find_plan(p, topology.hardware.with_(ddr_gib=16.0), 2) is not None


def test_a_change_that_is_impossible_is_no_advice():
    # of 72 columns half of the tables have no width of column shards in common with the others: an error of its own
    tables = [table(f"t{i}", 5_000_000, 64 if i % 2 else 96, False) for i in range(4)]
    p = planner_input(*tables, default_constraint=TableConstraint(sharding_types=["column_wise"], min_partition=32))
    text, _ = failure(p, 2, 2.2)
    assert "narrower tables: none wider than" in text and "column shards" not in text


def test_optimizer_state_and_dtype_of_vectors():
    p = planner_input(table("a", 6_000_000, 32), optimizer="adagrad")  # 0.72 GiB, and as much state
    assert "sparse_optimizer.name=rowwise_adagrad" in failure(p, 1)[0]
    v = FrozenInput(name="v", rows=4_000_000, width=128, dtype="float32", placement="replicated")
    text, _ = failure(planner_input(table("a"), frozen=(v,)), 2)
    assert "placement=auto" in text and "--dtype int8" in text


def test_advice_on_a_zch_table_under_a_default_that_it_cannot_have():
    zch = dataclasses.replace(table("ids", 40_000_000, 32, False), zch=True)
    p = planner_input(zch, default_constraint=TableConstraint(sharding_types=["column_wise", "row_wise"]))
    text, _ = failure(p, 4)
    assert "keep rows of table 'ids' in host memory" in text or "more ranks" in text


def test_when_nothing_helps():
    text, _ = failure(planner_input(model_cost=ModelCost(parameters=10**11)), 1)
    assert text.endswith("no other single change that was tried makes it fit") and "1." not in text.split("\n", 1)[1]


def test_memory_that_the_process_alone_fills_is_said_in_words():
    hardware = cpu(2, ddr_gib=0.5, local=2, process_gib=0.493, spare=0.05).hardware
    with pytest.raises(NoPlan) as none:
        PlanSearch(BIG, Topology.of(hardware, 2)).best()
    text = shortage(BIG, hardware, 2, none.value)
    assert text.startswith("a rank's memory is 0.25 GiB, which its process alone fills: libraries and buffers")
    assert "-" not in text
