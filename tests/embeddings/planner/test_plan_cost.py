"""What every rank holds besides shards, and the copy that a checkpoint takes: by hand, and as the report shows it."""

import dataclasses

import pytest

from embeddings.planner.plan_search import PlanSearch
from embeddings.planner.planner_input import ModelCost
from embeddings.planner.report import ranks
from embeddings.planner.table_constraint import TableConstraint
from tests.embeddings.planner.planner_inputs import cpu, cuda, planner_input, table

WHOLE = TableConstraint(sharding_types=["table_wise"])


def test_on_cpu_a_checkpoint_is_a_second_copy():
    t = table("t", 1000, 16)
    p = planner_input(t, default_constraint=WHOLE, model_cost=ModelCost(parameters=1000), optimizer="adagrad")
    plain, saving = (PlanSearch(dataclasses.replace(p, checkpoints=c), cpu(2)).best() for c in (False, True))
    state, of_dense = 1000 * 16 * 8, 3 * 4 * 1000 // 2
    holder = saving.plan.tables["t"].ranks[0]
    assert saving.copy_bytes[holder] == state + of_dense and saving.copy_bytes[1 - holder] == of_dense
    assert (saving.device_bytes - saving.copy_bytes == plain.device_bytes).all() and not plain.copy_bytes.any()
    assert not saving.host_bytes.any()


def test_on_cuda_it_is_pinned_memory_of_the_host():
    t = table("t", 1000, 16)
    p = planner_input(t, default_constraint=WHOLE, model_cost=ModelCost(parameters=1000), checkpoints=True)
    costed = PlanSearch(p, cuda(2)).best()
    holder = costed.plan.tables["t"].ranks[0]
    assert costed.host_bytes[holder] == costed.copy_bytes[holder] == 65536 + 4096 + 6000  # 64,000 and 4,000 rounded up
    assert (
        costed.device_bytes == PlanSearch(dataclasses.replace(p, checkpoints=False), cuda(2)).best().device_bytes
    ).all()


@pytest.mark.parametrize("topology", [cpu(2), cuda(2)])
def test_the_report_shows_it_apart_from_the_tables(topology) -> None:
    p = planner_input(table("t", 1_000_000, 16), default_constraint=WHOLE, checkpoints=True)
    head, *lines = ranks(PlanSearch(p, topology).best(), every_rank=False).splitlines()
    assert "checkpoint's copy" in head
    holder = next(line for line in lines if "64.9 MiB" in line or "0.06 GiB" in line)
    tables, copy = holder.split()[1], "64.8 MiB" if topology.hardware.device == "cpu" else "68.0 MiB"
    assert tables == "64.9" and copy in holder


def test_a_table_that_fits_once_may_not_fit_twice():
    from embeddings.planner.advice import shortage
    from embeddings.planner.no_plan import NoPlan

    p = planner_input(table("t", 10_000_000, 16), default_constraint=WHOLE)  # 0.63 GiB
    for topology, kind in ((cpu(1, 1.0), "memory"), (cuda(1, 1.0, ddr_gib=0.5), "host's memory")):
        PlanSearch(p, topology).best()
        q = dataclasses.replace(p, checkpoints=True)
        with pytest.raises(NoPlan) as none:
            PlanSearch(q, topology).best()
        said = shortage(q, topology.hardware, 1, none.value)
        assert kind in said and "checkpoint's copy" in said
        assert none.value.of_host == (topology.hardware.device == "cuda")
