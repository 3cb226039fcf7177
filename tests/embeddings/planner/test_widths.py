"""Sequence tables that are cut by columns have shards of one width: TorchRec reads beyond narrower ones."""

import dataclasses

import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.planner.bin_packing import NoPlan
from embeddings.planner.planner_input import Constraint, Problem
from embeddings.planner.search import Search
from embeddings.planner.shard_layout import CUTS_COLUMNS
from embeddings.planner.sharding_plan import Plan, check_plan
from tests.embeddings.planner.planner_inputs import cuda, problem, table

MACHINE = cuda(4, 8.0, local=2)
BY_COLUMNS = Constraint(sharding_types=["column_wise"])  # the cheapest plan would have shards of 32 and of 64


def question(**more) -> Problem:
    tables = (table(f"s{i}", 100_000 * (i + 1), 128, False, n) for i, n in enumerate((300.0, 10.0, 10.0)))
    return problem(*tables, table("bag", 100_000, 128, True, 30.0), **more)


def widths(plan: Plan) -> set[int]:
    return {int(p.shards[0, 3]) for n, p in plan.tables.items() if n != "bag" and p.sharding_type in CUTS_COLUMNS}


def test_a_plan_has_one_width():
    search = Search(question(default=BY_COLUMNS), MACHINE)
    assert {o.width for found in search.options.values() for o in found} == {32, 64}
    plan = search.best().plan
    assert len(widths(plan)) == 1
    check_plan(plan, search.problem, 4, 2, "cuda", "x")


def test_it_is_the_width_of_the_better_plan():
    whole = Search(question(default=BY_COLUMNS), MACHINE)
    found = whole.best()
    for width in (32, 64):
        pinned = {n: next(o for o in whole.options[n] if o.width == width) for n in ("s0", "s1", "s2")}
        assert found.step_ms <= whole.best(pinned).step_ms * 1.001


def test_a_width_that_one_table_must_have_is_that_of_the_others():
    narrow = {"s0": Constraint(sharding_types=["column_wise"], min_partition=16)}
    plan = Search(question(constraints=narrow), MACHINE).best().plan
    assert widths(plan) == {16}  # the others have no shards of 16, and so are cut by rows or not at all


def test_widths_that_exclude_each_other():
    p = question(constraints={
        "s0": Constraint(sharding_types=["column_wise"], min_partition=16),
        "s1": Constraint(sharding_types=["grid_shard"], min_partition=64),
    })  # fmt: skip
    with pytest.raises(
        InputError, match=r"need shards of one width, these have \{'s0': \[16\], 's1': \[64\]\}; set the"
    ):
        Search(p, MACHINE)
    search = Search(question(default=BY_COLUMNS), MACHINE)
    pinned = {n: next(o for o in search.options[n] if o.width == w) for n, w in (("s0", 32), ("s1", 64))}
    with pytest.raises(NoPlan, match="one width"):
        search.best(pinned)


def test_bags_may_differ():
    p = problem(*(table(f"b{i}", 1000, 128) for i in range(2)), constraints={
        f"b{i}": Constraint(sharding_types=["column_wise"], min_partition=w) for i, w in enumerate((32, 64))
    })  # fmt: skip
    plan = Search(p, MACHINE).best().plan
    assert {int(x.shards[0, 3]) for x in plan.tables.values()} == {32, 64}


def test_a_plan_of_several_widths_is_refused():
    p = question(constraints={n: Constraint(sharding_types=["column_wise"], min_partition=32) for n in ("s0", "s1")})
    plan = Search(p, MACHINE).best().plan
    shards = np.array([[0, 0, 100_000, 64, 0], [0, 64, 100_000, 64, 1]])
    spoilt = {**plan.tables, "s0": dataclasses.replace(plan.tables["s0"], shards=shards)}
    with pytest.raises(
        InputError, match=r"columns of several widths, \{'s0': 64, 's1': 32.*\}; allowed: one for all; plan"
    ):
        check_plan(dataclasses.replace(plan, tables=spoilt), p, 4, 2, "cuda", "x")
