"""A toy architecture by one entry in the registry: the commands train, plan, evaluate, predict and report it."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from embeddings.errors import InputError
from recsys.models.arch_config import arch_config
from recsys.models.make import drop_behaviours
from recsys.models.registry import ARCHITECTURES, Architecture, arch_class, config_class
from tests.recsys.models.toy import ToyArch
from tests.train.launch import Done, about, cli, one_line, rows
from train.ctr.config import load_config

TOY = Architecture("tests.recsys.models.toy:ToyConfig", "tests.recsys.models.toy:ToyArch")


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one entry."""
    monkeypatch.setitem(ARCHITECTURES, "toy", TOY)


@pytest.fixture
def config(tmp_path: Path, data: Path) -> Callable[[str], Path]:
    """Writes a config with that section ``model``; returns its path."""

    def write(model: str = "{arch: toy, embedding_dim: 4, units: 6}") -> Path:
        path = tmp_path / "run.yaml"
        path.write_text(
            f"data: {{path: {data}, batch_size: 16, eval_batch_size: 64}}\nmodel: {model}\n"
            "train: {epochs: 2, log_every: 1, warmup_steps: 2, select: auc}\ndense_optimizer: {lr: 0.01}\n"
            f"process: {{device: cpu, threads: 1}}\nrun: {{root: {tmp_path / 'runs'}}}\n"
        )
        return path

    return write


def done(*arguments: object) -> Done:
    """The command line, which must succeed."""
    result = cli(*arguments)
    assert result.status == 0, result.err
    return result


def test_from_training_to_the_report(config, tmp_path: Path) -> None:
    path, run = config(), tmp_path / "runs" / "run"
    done("ctr", "--config", path)
    assert len(rows(run)) == 8 and about(run)["modes"] == {"text": "simtier"}
    width = 1 + 3 * 4 + 20  # price; user, item and tags; tiers
    assert about(run)["dense_parameters"] == (width + 1) * 6 + 6 + 1
    stored = load_config(str(run / "config.yaml"))
    assert (
        stored.model.arch == "toy" and stored.model.units == 6 and stored == load_config(str(path), ("run.name=run",))
    )
    first = json.loads((run / "evaluation" / "test.json").read_text())["overall"]
    done("evaluate", run)
    assert json.loads((run / "evaluation" / "test.json").read_text())["overall"] == first
    done("predict", run, "--out", tmp_path / "scores")
    assert pq.read_table(tmp_path / "scores").num_rows == first["rows"] == 200
    assert f"{first['auc']:.4f}"[:5] in done("report", run, "--out", tmp_path / "report").out
    assert (tmp_path / "report" / "report.html").is_file()
    done("ctr", "--config", path, "train.epochs=3", "run.resume=true")
    assert len(rows(run)) == 12


def test_the_planner_gets_its_cost(config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ["plan", "--config", config(), "--world-size", 2, "--hardware", "a100-40", "--out"]
    cheap = done(*plan, tmp_path / "plan.json").out
    assert json.loads((tmp_path / "plan.json").read_text())["tables"].keys() == {"user", "item", "tag"}
    cost = ToyArch.cost
    monkeypatch.setattr(ToyArch, "cost", lambda self, lengths: sum([cost(self, lengths)] * 10_000, cost(self, lengths)))
    assert done(*plan, tmp_path / "dear.json").out != cheap


def test_its_own_keys_are_checked_and_documented(config) -> None:
    path = config("{arch: toy, unts: 6}")
    one_line(cli("check", "--config", path), "unknown key 'model.unts'; did you mean 'units'?")
    path = config("{arch: toy, multimodal: {num_tier: 6}}")
    one_line(cli("check", "--config", path), "unknown key 'model.multimodal.num_tier'; did you mean 'num_tiers'?")
    one_line(cli("check", "--config", config(), "model.units=0"), "model.units: ", "greater than or equal to 1, got 0")
    one_line(
        cli("ctr", "--config", config(), "model.over_arch=[4]"),
        "unknown key 'model.over_arch' of arch toy; arch din has it",
    )
    one_line(
        cli("check", "--config", config("{arch: make, modality: text}"), "model.arch=din"),
        "unknown key 'model.modality' of arch din; arch make has it; remove it, or change 'arch'",
    )
    assert "units: 6" in done("check", "--config", config()).out
    documented = done("check", "--describe", "config").out
    assert "`arch: toy`" in documented and "| `model.units` | integer | `8` | width of the hidden" in documented


def test_an_unknown_architecture(config) -> None:
    done = cli("ctr", "--config", config("{arch: toi}"))
    one_line(done, "model: arch 'toi' is none of din, make, toy; did you mean 'toy'?")
    with pytest.raises(InputError, match="arch 'dnn' is none of din, make, toy; did you mean 'din'"):
        arch_class("dnn")
    with pytest.raises(InputError, match=r"arch '\['din'\]' is none of"):
        config_class(["din"])


def test_a_config_without_one_is_din(config) -> None:
    without, named = (load_config(str(config(m))).model for m in ("{dropout: 0.5}", "{arch: din, dropout: 0.5}"))
    assert without == named and type(without) is config_class("din")
    assert load_config(str(config("{}"))).model == config_class("din")()


def test_every_architecture_reads_back_from_what_it_dumps() -> None:
    for name in ARCHITECTURES:
        raw = {"arch": name} | ({"modality": "text"} if name == "make" else {})
        config = arch_config(raw)
        assert config.model_dump().keys() == config_class(name).model_fields.keys()
        assert arch_config(config.model_dump()) == config


def test_it_takes_a_make_that_was_trained_alone(config, tmp_path: Path) -> None:
    """Neither the command make nor what reads its weights asks which architecture it is for."""
    path = config("{arch: toy, embedding_dim: 4, multimodal: {make: {hidden: [3, 2]}}}")
    done("make", "--config", path, "run.name=makes")
    assert load_config(str(tmp_path / "runs" / "makes" / "text" / "config.yaml")).model.arch == "make"
    taken = ["model.multimodal.mode=make", f"model.multimodal.make.run={tmp_path / 'runs' / 'makes'}"]
    done("ctr", "--config", path, *taken, "run.name=tuned")
    done("ctr", "--config", path, taken[0], "run.name=scratch")
    losses = [[row["loss"] for row in rows(tmp_path / "runs" / name)] for name in ("tuned", "scratch")]
    assert losses[0][0] != losses[1][0]


def test_it_may_change_the_rows_of_frozen_tables_before_they_are_asked_for(config, tmp_path, monkeypatch) -> None:
    """Although it has ID tables, whose exchange TorchRec's pipeline begins a batch ahead."""
    path, losses = config(), []
    for name, dropped in (("whole", 0.0), ("none", 1.0)):

        def before_exchange(self, frozen, dropped=dropped):
            return {m: drop_behaviours(rows, dropped) for m, rows in frozen.items()} if dropped else frozen

        monkeypatch.setattr(ToyArch, "before_exchange", before_exchange)
        done("ctr", "--config", path, f"run.name={name}")
        losses.append([row["loss"] for row in rows(tmp_path / "runs" / name)])
    assert losses[0][0] != losses[1][0]
