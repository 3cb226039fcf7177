"""plan.json: there and back, and damaged."""

import json
from pathlib import Path

import pytest

from embeddings.errors import InputError
from embeddings.planner.plan_json import load_plan, plan_as_dict, plan_from_dict, save_plan
from embeddings.planner.sharding_types import SHARDING_TYPES
from embeddings.planner.table_constraint import TableConstraint
from tests.embeddings.planner.planner_inputs import plan_of, three_tables


@pytest.mark.parametrize("sharding_type", SHARDING_TYPES)
def test_there_and_back(sharding_type: str, tmp_path: Path) -> None:
    forced = TableConstraint(sharding_types=[sharding_type], min_partition=8)
    before = plan_of(three_tables(constraints={"a": forced}))
    save_plan(before, tmp_path / "plan.json")
    after = load_plan(tmp_path / "plan.json")
    assert after == before == plan_from_dict(plan_as_dict(before), "x")
    assert [p.name for p in tmp_path.iterdir()] == ["plan.json"]
    assert json.loads((tmp_path / "plan.json").read_text())["tables"]["a"]["sharding_type"] == sharding_type


def test_a_failed_write_leaves_the_old_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        save_plan(plan_of(three_tables()), path)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


EARLIER = """{
 "version": 1,
 "world_size": 2,
 "ranks_of_host": 2,
 "device": "cuda",
 "batch_size": 64,
 "frozen": {
  "v": "replicated"
 },
 "tables": {
  "a": {"module": "sparse.bags", "sharding_type": "table_wise", "compute_kernel": "fused", "shards": [[0, 0, 9, 8, 1]]},
  "b": {"module": "sparse.managed_bags", "sharding_type": "row_wise", "compute_kernel": "fused_uvm", "shards": \
[[0, 0, 5, 4, 0], [5, 0, 4, 4, 1]]}
 }
}
"""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not readable JSON"),
        ("{}", "is no plan, python -m embeddings.plan --out FILE writes one: version: Field required"),
        ("[]", "is no plan"),
        ('{"version": 2}', "version 2, this code reads 1"),
        ('{"version": 1, "tables": {"a": {"module": "m", "sharding_type": "x", "compute_kernel": "f", "shards": [1]}}}',
         "is no plan"),
        ('{"version": 1, "tables": 3}', "tables: keys are expected"),
        ('{"version": "x"}', "version 'x', this code reads 1"),
        ("[" * 100_000, "nested too deeply"),
        (EARLIER.replace("[0, 0, 9, 8, 1]", "[0, 0, 9, 8, -1]"), "greater than or equal to 0, got -1"),
        (EARLIER.replace("[0, 0, 9, 8, 1]", "[0, 0, 9, 8, 1e400]"), "shards.0.4: Input should be"),
        (EARLIER.replace("[0, 0, 9, 8, 1]", "[0, 0, 1" + 400 * "0" + ", 8, 1]"), "less than or equal to 1000000000000"),
        (EARLIER.replace("[0, 0, 9, 8, 1]", "[0, 0, 9, 8]"), "shards.0.4: Field required"),
        (EARLIER.replace("[[0, 0, 9, 8, 1]]", "null"), "shards: Input should be a valid list, got null"),
        (EARLIER.replace('"table_wise"', '"diagonal"'), "sharding_type: Input should be 'data_parallel'"),
        (EARLIER.replace('"world_size": 2', '"world_size": 1e9'), "world_size: Input should be less than"),
        (EARLIER.replace('"device": "cuda"', '"device": null'), "device: Input should be 'cpu' or 'cuda', got null"),
        (EARLIER.replace('"v": "replicated"', '"v": 3'), "frozen.v: Input should be a valid string, got 3"),
        ('{"version": 1, "world_size": 2, "ranks_of_host": 0, "batch_size": 1, "tables": {}}',
         "ranks_of_host: Input should be greater"),
        (EARLIER.replace('"ranks_of_host": 2', '"ranks_of_host": 3'), "impossible figures: 3 ranks of a host of 2"),
    ],
)  # fmt: skip
def test_damaged(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(InputError, match=says) as caught:
        load_plan(tmp_path / "plan.json")
    assert len(str(caught.value)) < 1500 and "\n" not in str(caught.value)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"does not exist; python -m embeddings\.plan"):
        load_plan(tmp_path / "plan.json")
    with pytest.raises(InputError, match=r"folder '.*no' for the plan does not exist"):
        save_plan(plan_of(three_tables()), tmp_path / "no" / "plan.json")
    with pytest.raises(InputError, match=r"is a folder; name the plan's file, such as .*plan\.json"):
        save_plan(plan_of(three_tables()), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_format_is_that_of_earlier_versions(tmp_path: Path) -> None:
    (tmp_path / "earlier.json").write_text(EARLIER)
    plan = load_plan(tmp_path / "earlier.json")
    assert plan.tables["b"].module == "sparse.managed_bags" and plan.tables["b"].ranks == [0, 1]
    save_plan(plan, tmp_path / "plan.json")
    assert (tmp_path / "plan.json").read_text() == EARLIER
