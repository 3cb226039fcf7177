"""Options are what constraints allow; sequence tables cut by columns have one width: TorchRec reads beyond narrower."""

import pytest

from embeddings.errors import InputError
from embeddings.planner.check_plan import check_plan
from embeddings.planner.no_plan import NoPlan
from embeddings.planner.plan_search import PlanSearch
from embeddings.planner.planner_input import PlannerInput
from embeddings.planner.sharding_options import enumerate_options
from embeddings.planner.sharding_plan import ShardingPlan
from embeddings.planner.sharding_types import CUTS_COLUMNS
from embeddings.planner.table_constraint import TableConstraint
from tests.embeddings.planner.planner_inputs import cpu, cuda, planner_input, table

MACHINE = cuda(4, 8.0, local=2)
BY_COLUMNS = TableConstraint(sharding_types=["column_wise"])  # the cheapest plan would have shards of 32 and of 64


def question(**more) -> PlannerInput:
    tables = (table(f"s{i}", 100_000 * (i + 1), 128, False, n) for i, n in enumerate((300.0, 10.0, 10.0)))
    return planner_input(*tables, table("bag", 100_000, 128, True, 30.0), **more)


def widths(plan: ShardingPlan) -> set[int]:
    return {int(p.shards[0, 3]) for n, p in plan.tables.items() if n != "bag" and p.sharding_type in CUTS_COLUMNS}


def test_a_plan_has_one_width():
    search = PlanSearch(question(default_constraint=BY_COLUMNS), MACHINE)
    assert {o.width for options in search.options.values() for o in options} == {32, 64}
    plan = search.best().plan
    assert len(widths(plan)) == 1
    check_plan(plan, search.planner_input, 4, 2, "cuda", "x")


def test_it_is_the_width_of_the_better_plan():
    whole = PlanSearch(question(default_constraint=BY_COLUMNS), MACHINE)
    best = whole.best()
    for width in (32, 64):
        pinned = {n: next(o for o in whole.options[n] if o.width == width) for n in ("s0", "s1", "s2")}
        assert best.step_ms <= whole.best(pinned).step_ms * 1.001


def test_a_width_that_one_table_must_have_is_that_of_the_others():
    narrow = {"s0": TableConstraint(sharding_types=["column_wise"], min_partition=16)}
    plan = PlanSearch(question(constraints=narrow), MACHINE).best().plan
    assert widths(plan) == {16}  # the others have no shards of 16, and so are cut by rows or not at all


def test_widths_that_exclude_each_other():
    p = question(constraints={
        "s0": TableConstraint(sharding_types=["column_wise"], min_partition=16),
        "s1": TableConstraint(sharding_types=["grid_shard"], min_partition=64),
    })  # fmt: skip
    with pytest.raises(
        InputError, match=r"need shards of one width, these have \{'s0': \[16\], 's1': \[64\]\}; set the"
    ):
        PlanSearch(p, MACHINE)
    search = PlanSearch(question(default_constraint=BY_COLUMNS), MACHINE)
    pinned = {n: next(o for o in search.options[n] if o.width == w) for n, w in (("s0", 32), ("s1", 64))}
    with pytest.raises(NoPlan, match="one width"):
        search.best(pinned)


def test_bags_may_differ():
    p = planner_input(*(table(f"b{i}", 1000, 128) for i in range(2)), constraints={
        f"b{i}": TableConstraint(sharding_types=["column_wise"], min_partition=w) for i, w in enumerate((32, 64))
    })  # fmt: skip
    plan = PlanSearch(p, MACHINE).best().plan
    assert {int(x.shards[0, 3]) for x in plan.tables.values()} == {32, 64}


@pytest.mark.parametrize(
    ("wanted", "kernels"),
    [(None, {"fused"}), (["fused_uvm"], {"fused_uvm"}), (["fused", "fused_uvm_caching"],) * 2],
)
def test_kernels_are_those_that_a_constraint_names(wanted, kernels):
    one = table("b", 1000, 128)
    types = ["table_wise", "row_wise"]
    asked = planner_input(one, constraints={"b": TableConstraint(sharding_types=types, compute_kernels=wanted)})
    options = enumerate_options(one, asked, MACHINE)
    assert {(o.sharding_type, o.compute_kernel) for o in options} == {(t, k) for t in types for k in kernels}
    assert {o.compute_kernel for o in enumerate_options(one, asked, cpu(4))} == {"fused"}, "CUDA alone has others"
