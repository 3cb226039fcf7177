"""Table 2: its runs and its rows."""

import json
from pathlib import Path

import pytest

from benchmarks.paper.encoder_accuracy import MODELS
from benchmarks.paper.experiments import Experiment
from benchmarks.paper.table2 import jobs
from tests.train.launch import finished, one_line, start
from tests.train.launch import rows as metrics
from tests.train.scl import tiny
from train.config import load_settings
from train.scl.config import SCLConfig

MODULE = "benchmarks.paper"


def test_ablations_differ_in_what_they_are_named_for_alone(tmp_path: Path):
    config = tiny.write_config(tmp_path, tmp_path)
    wanted = jobs(
        Experiment(name="run", config=str(config), batch_size=8, root="here", seeds=2, extra=("model.width=4",))
    )
    assert [(job.model, job.seed) for job in wanted] == [(model, seed) for seed in (0, 1) for model in MODELS]
    settings = [load_settings(SCLConfig, str(config), job.settings) for job in wanted]
    assert {s.data.test for s in settings} == {"test"} and {s.model.width for s in settings} == {4}
    whole, no_triplet, in_batch, untrained, *_ = settings
    assert whole.model.triplet.weight > 0 and whole.model.bank.rows > 0 and whole.train.epochs > 0
    assert (no_triplet.model.triplet.weight, no_triplet.model.bank) == (0, whole.model.bank)
    assert (in_batch.model.triplet.weight, in_batch.model.bank.rows, in_batch.train) == (0, 0, whole.train)
    assert untrained.train.epochs == 0 and untrained.model == whole.model
    assert len({s.run_folder for s in settings}) == len(settings)


@pytest.mark.slow
def test_trained_drawn_and_not_trained_again(tmp_path: Path):
    config = tiny.write_config(tmp_path, tiny.make_pairs(tmp_path / "pairs"))
    arguments = ["table2", "--config", config, "--root", tmp_path / "runs", "--out", tmp_path / "out", "--seeds", 1]
    done = finished(start(*arguments, module=MODULE), 120)
    assert done.status == 0, done.err
    rows = [json.loads(line) for line in (tmp_path / "out" / "paper.jsonl").read_text().splitlines()]
    assert [r["model"] for r in rows] == list(MODELS) and {r["table_time"]["runs"] for r in rows} == {4}
    for r in rows:
        evaluations = metrics(tmp_path / "runs" / f"run-{r['model'].replace(' ', '-')}-0", "evaluation")
        assert [r["acc@1"]] == [e["acc@1"] for e in evaluations if e["split"] == "test"]
        assert r["validation_acc@5"] == [e["acc@5"] for e in evaluations if e["split"] == "validation"]
    assert f"{rows[0]['acc@1']:.4f}" in (tmp_path / "out" / "run.md").read_text()
    again = finished(start(*arguments, module=MODULE), 60)
    assert again.status == 0 and "4 runs, 4 of them done" in again.out and "[1/" not in again.out
    assert len((tmp_path / "out" / "paper.jsonl").read_text().splitlines()) == 4
    one_line(
        finished(start(*arguments, "model.width=4", module=MODULE)),
        "made with other settings: model.width is 8, wanted 4",
    )
