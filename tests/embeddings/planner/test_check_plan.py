"""A plan held against a model and the ranks: what is refused."""

import dataclasses

import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.planner.check_plan import check_plan
from embeddings.planner.planner_input import PlannerInput
from embeddings.planner.sharding_plan import ShardingPlan
from embeddings.planner.sharding_types import SHARDING_TYPES
from embeddings.planner.table_constraint import TableConstraint
from tests.embeddings.planner.planner_inputs import plan_of, planner_input, table, three_tables


def check(p: ShardingPlan, q: PlannerInput | None = None) -> None:
    check_plan(p, q or three_tables(), 4, 2, "cuda", "plan.json")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"world_size": 8}, "for world size 8, this run has 4"),
        ({"ranks_of_host": 4}, "for ranks of a host 4, this run has 2"),
        ({"device": "cpu"}, "for device cpu, this run has cuda"),
        ({"frozen": {}}, r"places frozen tables \{\}, the model has \['v'\]"),
        ({"frozen": {"v": "elsewhere"}}, "places frozen tables"),
    ],
)
def test_another_machine_or_store(changed: dict, says: str) -> None:
    with pytest.raises(InputError, match=says):
        check(dataclasses.replace(plan_of(three_tables()), **changed))


def test_rows_of_vectors_that_are_needed_whole():
    in_rows, whole = (
        dataclasses.replace(plan_of(three_tables()), frozen={"v": "row_wise"}),
        dataclasses.replace(three_tables().frozen[0], row_wise=False),
    )
    check(in_rows)
    with pytest.raises(InputError, match="cuts 'v' into rows, but the model wants more than sums over bags"):
        check(in_rows, dataclasses.replace(three_tables(), frozen=(whole,)))


def test_another_model():
    with pytest.raises(InputError, match="places table 'a', which the model lacks; did you mean 'aa'"):
        check(
            plan_of(three_tables()), planner_input(table("aa"), table("s", 77, 16, False), frozen=three_tables().frozen)
        )
    with pytest.raises(InputError, match="lacks table 'new' of the model"):
        check(
            plan_of(three_tables()), dataclasses.replace(three_tables(), tables=(*three_tables().tables, table("new")))
        )
    with pytest.raises(InputError, match="shards of table 's' do not cover 78 x 16 once"):
        check(
            plan_of(three_tables()),
            planner_input(table("a", columns=32), table("s", 78, 16, False), frozen=three_tables().frozen),
        )
    with pytest.raises(InputError, match=r"table 's' is in 'sparse\.sequences', the model has it in 'sparse\.bags'"):
        check(
            plan_of(three_tables()),
            planner_input(table("a", columns=32), table("s", 77, 16), frozen=three_tables().frozen),
        )


@pytest.mark.parametrize("sharding_type", SHARDING_TYPES)
@pytest.mark.parametrize("how", ["row", "column", "height", "rank", "missing", "twice"])
def test_shards_that_do_not_cover_once(sharding_type: str, how: str) -> None:
    whole = plan_of(three_tables(constraints={"a": TableConstraint(sharding_types=[sharding_type], min_partition=8)}))
    shards = whole.tables["a"].shards.copy()
    if how == "missing":
        shards = shards[:-1]
    elif how == "twice":
        shards = np.concatenate([shards, shards[-1:]])
    else:
        at = {"row": 0, "column": 1, "height": 2, "rank": 4}[how]
        shards[-1, at] += {"row": 1, "column": 4, "height": -1, "rank": 4}[how]
    spoilt = dataclasses.replace(whole.tables["a"], shards=shards)
    with pytest.raises(InputError, match="table 'a' do not cover 1000 x 32 once"):
        check(dataclasses.replace(whole, tables={**whole.tables, "a": spoilt}))


def test_a_type_that_does_not_run_here():
    whole, asked = plan_of(three_tables()), three_tables()
    zch = tuple(dataclasses.replace(t, zch=t.name == "s") for t in asked.tables)
    spoilt = dataclasses.replace(whole.tables["s"], sharding_type="grid_shard")
    with pytest.raises(
        InputError, match="table 's' cannot be grid_shard on cuda, as it has ids: zch; allowed: \\('row"
    ):
        check(dataclasses.replace(whole, tables={**whole.tables, "s": spoilt}), dataclasses.replace(asked, tables=zch))


def test_a_kernel_that_does_not_run_here():
    whole = plan_of(three_tables(constraints={"a": TableConstraint(sharding_types=["row_wise"])}))
    for kernel in ("dense", "key_value"):
        spoilt = dataclasses.replace(whole.tables["a"], compute_kernel=kernel)
        with pytest.raises(InputError, match=f"cannot have kernel '{kernel}'; allowed: fused, fused_uvm"):
            check(dataclasses.replace(whole, tables={**whole.tables, "a": spoilt}))


@pytest.mark.parametrize("sharding_type", ["row_wise", "table_row_wise", "table_column_wise", "grid_shard"])
def test_ranks_in_an_order_that_torchrec_does_not_take(sharding_type: str) -> None:
    whole = plan_of(three_tables(constraints={"a": TableConstraint(sharding_types=[sharding_type], min_partition=16)}))
    shards = whole.tables["a"].shards.copy()
    shards[:, 4] = (shards[:, 4] + 1) % 4  # each on a rank, but of another host or in another order
    if sharding_type == "table_column_wise":
        shards[:, 4] = np.arange(len(shards)) * 2
    spoilt = dataclasses.replace(whole.tables["a"], shards=shards)
    with pytest.raises(InputError, match=f"as {sharding_type} does on ranks 0 to 3"):
        check(dataclasses.replace(whole, tables={**whole.tables, "a": spoilt}))


def test_sequence_tables_cut_into_columns_of_several_widths():
    tables = [table(f"s{i}", 100_000, 128, False, 10.0) for i in range(2)]
    by_columns = TableConstraint(sharding_types=["column_wise"], min_partition=32)
    q = planner_input(*tables, default_constraint=by_columns)
    whole = plan_of(q)
    shards = np.array([[0, 0, 100_000, 64, 0], [0, 64, 100_000, 64, 1]])
    spoilt = {**whole.tables, "s0": dataclasses.replace(whole.tables["s0"], shards=shards)}
    with pytest.raises(
        InputError, match=r"columns of several widths, \{'s0': 64, 's1': 32\}; allowed: one for all; plan"
    ):
        check(dataclasses.replace(whole, tables=spoilt), q)
