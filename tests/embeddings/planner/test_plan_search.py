"""Plans fit, obey constraints, cover every table, and are as good as trying everything."""

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embeddings.errors import InputError
from embeddings.planner.bin_packing import RankLoads, pack_shards
from embeddings.planner.check_plan import check_plan
from embeddings.planner.hardware import Speed
from embeddings.planner.no_plan import NoPlan
from embeddings.planner.plan_search import PlanSearch
from embeddings.planner.planner_input import ModelCost
from embeddings.planner.sharding_types import SHARDING_TYPES
from embeddings.planner.table_constraint import TableConstraint
from tests.embeddings.planner.planner_inputs import cpu, cuda, planner_input, table

GIB = 2**30
LARGE = 2_000_000  # rows: above what stays whole on CPU


def kinds(assessment) -> dict[str, str]:
    return {name: p.sharding_type for name, p in assessment.plan.tables.items()}


@pytest.mark.parametrize("sharding_type", SHARDING_TYPES)
@pytest.mark.parametrize("topology", [cpu(2), cpu(8, local=4), cuda(8, local=4), cuda(1)])
def test_a_forced_type_is_taken(sharding_type: str, topology) -> None:
    p = planner_input(table("a", columns=32), table("b", rows=50, columns=32),
                default_constraint=TableConstraint(sharding_types=[sharding_type], min_partition=8))  # fmt: skip
    costed = PlanSearch(p, topology).best()
    assert set(kinds(costed).values()) == {sharding_type}
    check_plan(costed.plan, p, topology.world_size, topology.ranks_of_host, topology.hardware.device, "x")


def test_shards_of_a_host_stay_on_it():
    topology = cuda(16, local=4)
    p = planner_input(*(table(f"t{i}", columns=64) for i in range(6)))
    for sharding_type in ("table_row_wise", "table_column_wise"):
        plan = (
            PlanSearch(
                dataclasses.replace(p, default_constraint=TableConstraint(sharding_types=[sharding_type])), topology
            )
            .best()
            .plan
        )
        for placed in plan.tables.values():
            assert len({r // 4 for r in placed.ranks}) == 1, sharding_type
        assert len({placed.ranks[0] // 4 for placed in plan.tables.values()}) == 4, "one host has all the work"
    plan = (
        PlanSearch(dataclasses.replace(p, default_constraint=TableConstraint(sharding_types=["grid_shard"])), topology)
        .best()
        .plan
    )
    for placed in plan.tables.values():
        hosts = [r // 4 for r in placed.ranks]
        assert hosts[:4] == [hosts[0]] * 4 and hosts[4:] == [hosts[4]] * 4 and hosts[0] != hosts[4]


def test_one_tables_constraint_goes_before_the_default():
    p = planner_input(
        *(table("a"), table("b"), table("c", pooled=False)),
        default_constraint=TableConstraint(sharding_types=["column_wise"]),
        constraints={"b": TableConstraint(sharding_types=["row_wise"])},
    )
    assert kinds(PlanSearch(p, cpu(2)).best()) == {"a": "column_wise", "b": "row_wise", "c": "column_wise"}


def test_a_type_that_only_some_tables_can_have_is_left_out_for_the_others():
    zch = dataclasses.replace(table("b", pooled=False), zch=True)
    p = planner_input(table("a"), zch, default_constraint=TableConstraint(sharding_types=["grid_shard", "row_wise"]))
    assert kinds(PlanSearch(p, cpu(2)).best())["b"] == "row_wise"


def test_small_tables_stay_whole_on_cpu_alone():
    tables = table("a"), table("b", 500, 16, False)
    assert set(kinds(PlanSearch(planner_input(*tables), cpu(2)).best()).values()) == {"table_wise"}
    assert kinds(PlanSearch(planner_input(*tables, batch_size=4096), cuda(8)).best())["a"] == "data_parallel"


def test_small_tables_with_many_ids_are_free_on_cpu():
    many, few = table("many", 1000, 16, False, 50.0), table("few", 1000, 16, False, 20.0)
    search = PlanSearch(planner_input(many, few), cpu(2, speed=Speed(sequence_id_ns=100.0)))
    assert (
        {o.sharding_type for o in search.options["few"]}
        == {"table_wise"}
        < {o.sharding_type for o in search.options["many"]}
    )
    assert kinds(search.best())["many"] != "table_wise"
    assert kinds(PlanSearch(planner_input(many), cpu(1)).best()) == {"many": "table_wise"}


def test_small_tables_that_find_no_room_on_cpu_are_cut():
    p = planner_input(
        table("a", 1000, 16, False, 31.0), batch_size=320_000
    )  # 1.3 GiB a rank of ids, vectors, gradients
    assert kinds(PlanSearch(p, cpu(4, 16.0, local=1)).best()) == {"a": "table_wise"}
    assert kinds(PlanSearch(p, cpu(4, 3.0, local=1)).best()) != {"a": "table_wise"}
    forced = dataclasses.replace(p, default_constraint=TableConstraint(sharding_types=["table_wise"]))
    with pytest.raises(NoPlan):
        PlanSearch(forced, cpu(4, 3.0, local=1)).best()


def test_mistakes():
    with pytest.raises(InputError, match=r"sharding.tables names \['itm'\]; tables are \['item'\]"):
        planner_input(table("item"), constraints={"itm": TableConstraint()})
    for types in (["data_parallel"], ["row_wise", "grid_shard"]):
        zch = dataclasses.replace(table("item", pooled=False), zch=True)
        p = planner_input(zch, constraints={"item": TableConstraint(sharding_types=types)})
        with pytest.raises(
            InputError, match=r"'item': sharding types \[.*\] are not possible, as it has ids: zch; allowed: \["
        ):
            PlanSearch(p, cpu(2))
    with pytest.raises(InputError, match="world size 6 is no multiple of the 4 ranks of a host"):
        PlanSearch(planner_input(table("a")), cuda(6, local=4))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 400_000), st.sampled_from([8, 32, 64]), st.booleans(), st.integers(1, 50)),
             min_size=1, max_size=5),
    st.sampled_from([1, 2, 4, 8]),
    st.floats(0.02, 0.3),
)  # fmt: skip
def test_a_plan_fits_and_its_figures_add_up(specs, world: int, hbm_gib: float) -> None:
    tables = [table(f"t{i}", rows, columns, pooled, length) for i, (rows, columns, pooled, length) in enumerate(specs)]
    p = planner_input(*tables, model_cost=ModelCost(parameters=1000))
    topology = cuda(world, hbm_gib, local=4)
    try:
        costed = PlanSearch(p, topology).best()
    except NoPlan as none:
        assert none.shortage > 0
        return
    assert costed.device_bytes.max() <= hbm_gib * GIB and costed.shortage == (0, 0)
    check_plan(costed.plan, p, world, topology.ranks_of_host, "cuda", "x")
    of_tables = sum(float(c.device_bytes.sum()) for c in costed.tables.values())
    assert costed.device_bytes.sum() == pytest.approx(of_tables + world * costed.fixed.device_bytes)
    of_tables = sum(float(c.ms.sum()) + world * c.every_rank_ms for c in costed.tables.values())
    assert costed.rank_ms.sum() == pytest.approx(of_tables)


@pytest.mark.parametrize("seed", range(6))
def test_as_good_as_trying_every_combination_of_types(seed: int) -> None:
    random = np.random.default_rng(seed)
    tables = [
        table(f"t{i}", int(random.integers(10, 2_000_000)), 64, bool(random.integers(2)), float(random.integers(1, 40)))
        for i in range(4)
    ]
    p = planner_input(*tables, batch_size=int(random.integers(64, 4096)))
    search = PlanSearch(p, cuda(4, 4.0, local=2, speed=Speed(exchange_us=50)))
    best = np.inf
    for combination in itertools.product(*search.options.values()):
        try:
            best = min(best, search.best(dict(zip(search.options, combination, strict=True))).step_ms)
        except NoPlan:
            continue
    assert search.best().step_ms <= 1.05 * best


def test_small_tables_are_spread_where_one_that_is_on_every_rank_takes_longest():
    # four tables whole on four ranks make each of these critical; to cut one alone costs an exchange and eases nothing
    big, small = table("big", LARGE, 16, False, 200.0), [table(f"t{i}", 500, 16) for i in range(4)]
    p = planner_input(
        big, *small, batch_size=1024, default_constraint=TableConstraint(sharding_types=list(SHARDING_TYPES[1:]))
    )
    costed = PlanSearch(p, cuda(64, 4.0, speed=Speed(exchange_us=1000.0))).best()
    assert kinds(costed) == {"big": "row_wise"} | dict.fromkeys([t.name for t in small], "table_row_wise")


def test_a_table_too_large_for_a_rank_is_split():
    p = planner_input(table("a", 10_000_000, 32))  # 1.2 GiB
    costed = PlanSearch(p, cuda(4, 0.5)).best()
    assert kinds(costed)["a"] in ("row_wise", "column_wise", "table_row_wise", "grid_shard", "table_column_wise")
    with pytest.raises(NoPlan):
        PlanSearch(p, cuda(2, 0.5)).best()


def test_what_every_rank_must_rearrange_counts_in_the_choice():
    p = planner_input(table("s", LARGE, 32, False, 30.0))
    for cost, sharding_type in ((0.0, "row_wise"), (1e4, "table_wise")):
        topology = cpu(4, speed=Speed(sequence_id_ns=1.0, byte_ns=1.0, wire_ns=0.1, rearranged_ns=cost))
        assert kinds(PlanSearch(p, topology).best()) == {"s": sharding_type}


def test_the_search_counts_as_the_report_does():
    topology = cuda(4, local=2)
    p = planner_input(*(table(f"t{i}", 10_000 * (i + 1), 64, i % 2 == 0, 5.0) for i in range(5)))
    search = PlanSearch(p, topology)
    options = {name: choices[i % len(choices)] for i, (name, choices) in enumerate(search.options.items())}
    ranks = RankLoads(topology, 0, 0)
    pack_shards(options, {}, ranks)
    assert search.best(options).rank_ms == pytest.approx(ranks.ms)


def test_many_tables_on_many_ranks():
    random = np.random.default_rng(0)
    tables = [table(f"t{i}", int(10 ** random.uniform(3, 8.5)), 64, i % 10 != 0, 3.0) for i in range(500)]
    costed = PlanSearch(planner_input(*tables, batch_size=4096), cuda(1024, 80.0)).best()
    assert costed.imbalance < 1.5 and costed.shortage == (0, 0)
