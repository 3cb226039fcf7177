"""Where frozen vectors live changes nothing that a run learns: the same losses, to the bit, on two ranks."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.train import launch

RANKS = 2
PLACEMENTS = ("host", "replicated", "row_wise")


def overrides(placement: str) -> list[str]:
    return [f"model.modalities.text.placement={placement}", f"run.name={placement}"]


@pytest.fixture
def runs(config: Callable[..., Path], tmp_path: Path) -> dict[str, Path]:
    """A run of each placement, all in one launch."""
    path = config()
    jobs = [{"config": str(path), "overrides": overrides(placement)} for placement in PLACEMENTS]
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    done = launch.finished(
        launch.start_launched_ranks(RANKS, tmp_path / "jobs.json", module="tests.train.ctr.plans_worker")
    )
    assert done.status == 0, done.err[-8000:]
    return {placement: tmp_path / "runs" / placement for placement in PLACEMENTS}


@pytest.mark.slow
def test_losses_and_scores_are_the_same_in_every_placement(runs: dict[str, Path]) -> None:
    losses = {p: [row["loss"] for row in launch.rows(run)] for p, run in runs.items()}
    assert len(losses["host"]) == 12 and len(set(losses["host"])) == 12
    assert losses["replicated"] == losses["host"]
    assert losses["row_wise"] == losses["host"]
    tests = {p: json.loads((run / "evaluation" / "test.json").read_text())["overall"] for p, run in runs.items()}
    assert tests["row_wise"] == tests["host"] == tests["replicated"]
    for placement, run in runs.items():
        assert json.loads((run / "plan.json").read_text())["frozen"] == {"text": placement}
    # one rank scores with weights that two trained, the vectors all its own
    done = launch.cli("evaluate", runs["row_wise"], "--split", "test")
    assert done.status == 0, done
    again = json.loads((runs["row_wise"] / "evaluation" / "test.json").read_text())["overall"]
    assert again == pytest.approx(tests["host"], rel=1e-5)


def test_a_mode_that_needs_the_vectors_is_refused(config: Callable[..., Path]) -> None:
    done = launch.cli(
        "ctr", "--config", config(), "model.multimodal.mode=vector", "model.multimodal.placement=row_wise"
    )
    launch.one_line(done, "mode vector needs the vectors themselves", "allowed with it: simtier")


def test_a_plan_that_spreads_them_all_the_same_is_refused(config: Callable[..., Path], tmp_path: Path) -> None:
    done = launch.cli("ctr", "--config", config(), "model.multimodal.placement=row_wise", "train.max_steps=1")
    assert done.status == 0, done
    plan = tmp_path / "runs" / "run" / "plan.json"
    again = ["--plan", plan, "model.multimodal.mode=vector", "run.name=other", "train.max_steps=1"]
    launch.one_line(launch.cli("ctr", "--config", config(), *again), "cuts 'text' into rows", "more than sums")
