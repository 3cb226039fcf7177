"""plan.json: there and back, damaged, and held against a model."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.planner.planner_input import Constraint, Frozen, Problem
from embeddings.planner.search import Search
from embeddings.planner.shard_layout import TYPES
from embeddings.planner.sharding_plan import Plan, check_plan, load_plan, plan_as_dict, plan_from_dict, save_plan
from tests.embeddings.planner.planner_inputs import cuda, problem, table

MACHINE = cuda(4, local=2)
VECTORS = Frozen(name="v", rows=10, width=4, dtype="float32")


def question(**more) -> Problem:
    return problem(table("a", columns=32), table("s", 77, 16, False), frozen=(VECTORS,), **more)


def plan(**more) -> Plan:
    return Search(question(**more), MACHINE).best().plan


def check(p: Plan, q: Problem | None = None) -> None:
    check_plan(p, q or question(), 4, 2, "cuda", "plan.json")


@pytest.mark.parametrize("kind", TYPES)
def test_there_and_back(kind: str, tmp_path: Path) -> None:
    forced = Constraint(sharding_types=[kind], min_partition=8)
    before = plan(constraints={"a": forced})
    save_plan(before, tmp_path / "plan.json")
    after = load_plan(tmp_path / "plan.json")
    assert after == before == plan_from_dict(plan_as_dict(before), "x")
    assert [p.name for p in tmp_path.iterdir()] == ["plan.json"]
    assert json.loads((tmp_path / "plan.json").read_text())["tables"]["a"]["sharding_type"] == kind
    check(after)


def test_a_failed_write_leaves_the_old_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        save_plan(plan(), path)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not readable JSON"),
        ("{}", "is no plan .KeyError: 'version'"),
        ("[]", "is no plan"),
        ('{"version": 2}', "version 2, this code reads 1"),
        ('{"version": 1, "tables": {"a": {"module": "m", "sharding_type": "x", "compute_kernel": "f", "shards": [1]}}}',
         "is no plan"),
        ('{"version": 1, "tables": 3}', "is no plan"),
        ('{"version": 1, "world_size": 2, "ranks_of_host": 0, "batch_size": 1, "tables": {}}', "impossible figures"),
    ],
)  # fmt: skip
def test_damaged(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(InputError, match=says):
        load_plan(tmp_path / "plan.json")


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not exist; python -m embeddings\.plan"):
        load_plan(tmp_path / "plan.json")
    with pytest.raises(InputError, match=r"folder '.*no' for the plan does not exist"):
        save_plan(plan(), tmp_path / "no" / "plan.json")
    with pytest.raises(InputError, match=r"is a folder; name the plan's file, such as .*plan\.json"):
        save_plan(plan(), tmp_path)
    assert not list(tmp_path.iterdir())


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
        check(dataclasses.replace(plan(), **changed))


def test_rows_of_vectors_that_are_needed_whole():
    cut, whole = dataclasses.replace(plan(), frozen={"v": "row_wise"}), dataclasses.replace(VECTORS, row_wise=False)
    check(cut)
    with pytest.raises(InputError, match="cuts 'v' into rows, but the model wants more than sums over bags"):
        check(cut, dataclasses.replace(question(), frozen=(whole,)))


def test_another_model():
    with pytest.raises(InputError, match="places table 'a', which the model lacks; did you mean 'aa'"):
        check(plan(), problem(table("aa"), table("s", 77, 16, False), frozen=(VECTORS,)))
    with pytest.raises(InputError, match="lacks table 'new' of the model"):
        check(plan(), dataclasses.replace(question(), tables=(*question().tables, table("new"))))
    with pytest.raises(InputError, match="shards of table 's' do not cover 78 x 16 once"):
        check(plan(), problem(table("a", columns=32), table("s", 78, 16, False), frozen=(VECTORS,)))
    with pytest.raises(InputError, match=r"table 's' is in 'sparse\.sequences', the model has it in 'sparse\.bags'"):
        check(plan(), problem(table("a", columns=32), table("s", 77, 16), frozen=(VECTORS,)))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("how", ["row", "column", "height", "rank", "missing", "twice"])
def test_shards_that_do_not_cover_once(kind: str, how: str) -> None:
    whole = plan(constraints={"a": Constraint(sharding_types=[kind], min_partition=8)})
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
    whole, asked = plan(), question()
    managed = tuple(dataclasses.replace(t, managed=t.name == "s") for t in asked.tables)
    spoilt = dataclasses.replace(whole.tables["s"], sharding_type="grid_shard")
    with pytest.raises(InputError, match="table 's' cannot be grid_shard on cuda; allowed: \\('row_wise',\\)"):
        check(
            dataclasses.replace(whole, tables={**whole.tables, "s": spoilt}), dataclasses.replace(asked, tables=managed)
        )


def test_a_kernel_that_does_not_run_here():
    whole = plan(constraints={"a": Constraint(sharding_types=["row_wise"])})
    for kernel in ("dense", "key_value"):
        spoilt = dataclasses.replace(whole.tables["a"], compute_kernel=kernel)
        with pytest.raises(InputError, match=f"cannot have kernel '{kernel}'; allowed: fused, fused_uvm"):
            check(dataclasses.replace(whole, tables={**whole.tables, "a": spoilt}))


@pytest.mark.parametrize("kind", ["row_wise", "table_row_wise", "table_column_wise", "grid_shard"])
def test_ranks_in_an_order_that_torchrec_does_not_take(kind: str) -> None:
    whole = plan(constraints={"a": Constraint(sharding_types=[kind], min_partition=16)})
    shards = whole.tables["a"].shards.copy()
    shards[:, 4] = (shards[:, 4] + 1) % 4  # each on a rank, but of another host or in another order
    if kind == "table_column_wise":
        shards[:, 4] = np.arange(len(shards)) * 2
    spoilt = dataclasses.replace(whole.tables["a"], shards=shards)
    with pytest.raises(InputError, match=f"as {kind} does on ranks 0 to 3"):
        check(dataclasses.replace(whole, tables={**whole.tables, "a": spoilt}))
