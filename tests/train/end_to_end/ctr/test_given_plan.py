"""The trainer takes a plan.json as it is, refuses another model's, and keeps the plan that it used."""

import sys
from pathlib import Path

import pytest

from embeddings.planner.plan_json import load_plan
from tests.train import tiny
from tests.train.launch import cli, one_line
from train.__main__ import run as start
from train.commands.plan import command


def plan(config: Path, *arguments: object) -> int:
    """``python -m embeddings.plan`` in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["plan", "--config", str(config), *map(str, arguments)])
        return start(command, "plan")


def test_a_plan_is_taken_as_it_is_and_kept(config, tmp_path: Path) -> None:
    path, given = config(), tmp_path / "given.json"
    assert plan(path, "--world-size", 1, "--out", given, "sharding.sharding_types=[row_wise]") == 0
    done = cli("ctr", "--config", path, "--plan", given, "run.name=a", "train.epochs=1")
    assert done.status == 0, done.err
    used = load_plan(tmp_path / "runs" / "a" / "plan.json")
    assert used == load_plan(given)
    assert {p.sharding_type for p in used.tables.values()} == {"row_wise"}
    assert f"plan: {given}" in (tmp_path / "runs" / "a" / "config.yaml").read_text()
    given.unlink()  # scoring may have other ranks, and plans for itself
    assert cli("evaluate", tmp_path / "runs" / "a", "--split", "test").status == 0


def test_without_one_the_planner_chooses_and_its_plan_is_kept(config, tmp_path: Path) -> None:
    assert cli("ctr", "--config", config(), "run.name=b", "train.epochs=1").status == 0
    used = load_plan(tmp_path / "runs" / "b" / "plan.json")
    assert {p.sharding_type for p in used.tables.values()} == {"table_wise"}
    assert (used.world_size, used.device, used.frozen) == (1, "cpu", {"text": "replicated"})


def test_a_plan_of_another_model_or_world_is_refused(config, tmp_path: Path) -> None:
    path, given = config(), tmp_path / "given.json"
    assert plan(path, "--world-size", 1, "--out", given) == 0
    one_line(cli("ctr", "--config", path, "--plan", given, "run.name=c", "model.embedding_dim=8"),
             f"plan '{given}'", "do not cover", "plan again")  # fmt: skip
    assert plan(path, "--world-size", 2, "--out", given) == 0
    one_line(cli("ctr", "--config", path, "--plan", given, "run.name=c"), "for world size 2, this run has 1")
    given.write_text(given.read_text()[:100])
    one_line(cli("ctr", "--config", path, "--plan", given, "run.name=c"), "not readable JSON")
    one_line(cli("ctr", "--config", path, "--plan", tmp_path / "no.json", "run.name=c"), "does not exist")
    assert not (tmp_path / "runs" / "c" / "plan.json").exists()


def test_where_nothing_fits_the_trainer_advises_as_the_planner_does(config, own_data: Path, capsys) -> None:
    schema = (own_data / "schema.yaml").read_text()
    assert schema.count(f"num_embeddings: {tiny.ITEMS}") == 1
    (own_data / "schema.yaml").write_text(
        schema.replace(f"num_embeddings: {tiny.ITEMS}", "num_embeddings: 1000000000000")
    )
    done = cli("ctr", "--config", config(own_data))
    assert done.status == 2 and "Traceback" not in done.err, done.err
    first, *changes = done.errors
    assert first.startswith("error: no plan fits 1 rank of cpu-host: ")
    assert changes[0] in ("each of these makes it fit:", "this makes it fit:") and changes[1].startswith("  1. ")
    assert plan(config(own_data), "--world-size", 1) == 2
    assert capsys.readouterr().err.splitlines() == done.errors


def test_speeds_of_another_device_are_refused(config) -> None:
    one_line(cli("ctr", "--config", config(), "sharding.hardware=h200"), "describes cuda, this run is on cpu")
