"""The command on tiny data, end to end: trained, drawn, not trained again, stopped, gone on with, failing."""

import json
import signal
from pathlib import Path

import pytest

from tests.train.launch import finished, one_line, start, wait_for_step
from tests.train.tiny import make_data

MODULE = "benchmarks.paper"


@pytest.fixture
def arguments(tmp_path: Path) -> list:
    data = make_data(tmp_path / "data", train_rows=384)
    (tmp_path / "tiny.yaml").write_text(
        f"data: {{path: {data}, batch_size: 32, eval_batch_size: 64}}\n"
        "model: {embedding_dim: 4, over_arch: [8], attention: {hidden: [4]}}\nprocess: {device: cpu}\n"
        "train: {log_every: 1}\n"
    )
    common = ["--config", tmp_path / "tiny.yaml", "--root", tmp_path / "runs", "--out", tmp_path / "out"]
    return [*common, "--seeds", 1, "--epochs", 2, "--jobs", 2]


def rows(tmp_path: Path) -> dict[str, dict]:
    lines = (tmp_path / "out" / "paper.jsonl").read_text().splitlines()
    written = [json.loads(line) for line in lines]
    assert len({r["model"] for r in written}) == len(written), "a run has one row"
    return {r["model"]: r for r in written}


@pytest.mark.slow
def test_trained_drawn_and_not_trained_again(arguments, tmp_path):
    done = finished(start("all", *arguments, module=MODULE), 300)
    assert done.status == 0, done.err
    by_model = rows(tmp_path)
    assert {"none", "simtier+make", "alone", "reset", "make@0", "make@10"} <= set(by_model)
    for model, r in by_model.items():
        folder = tmp_path / "runs" / f"tiny-{model.replace('+', '-').replace('@', '-after-')}-0"
        folder = folder / "text" if model == "alone" else folder
        test = json.loads((folder / "evaluation" / "test.json").read_text())
        assert r["auc"] == test["overall"]["auc"] and r["data"] == "tiny"
    assert len(by_model["alone"]["validation_gauc"]) == 10 and len(by_model["reset"]["validation_gauc"]) == 2
    assert by_model["reset"]["validation_gauc"][0] == by_model["epochs"]["validation_gauc"][0]
    page = (tmp_path / "out" / "tiny.md").read_text()
    assert f"{by_model['simtier']['gauc']:.4f}" in page and "not trained yet" not in page
    for target in ("table3", "fig3", "fig6b", "fig6c"):
        assert (tmp_path / "out" / "figures" / f"tiny-{target}.svg").stat().st_size > 1000

    again = finished(start("all", *arguments, module=MODULE), 60)
    assert (
        again.status == 0
        and f"{len(by_model)} runs, {len(by_model)} of them done" in again.out
        and "[1/" not in again.out
    )
    assert rows(tmp_path) == by_model


@pytest.mark.slow
def test_stopped_and_gone_on_with(arguments, tmp_path):
    more = ["train.epochs=40", "train.checkpoint_every=20"]  # MAKE's own epochs come later on the line, and win
    process = start("fig6b", *arguments, *more, module=MODULE)
    run = tmp_path / "runs" / "tiny-none-0"
    wait_for_step(run, 30, process)
    process.send_signal(signal.SIGTERM)
    done = finished(process, 60)
    assert done.status == 143 and "Traceback" not in done.err, done.err
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    done = finished(start("fig6b", *arguments, *more, "train.epochs=3", module=MODULE), 60)
    one_line(done, "was made with other settings: train.epochs is 40, wanted 3", "remove that folder, or choose")
    done = finished(start("fig6b", *arguments, *more, module=MODULE), 300)
    assert done.status == 0, done.err
    assert "resumed from step-" in (run / "logs" / "output.txt").read_text()
    assert len(rows(tmp_path)["none"]["validation_gauc"]) == 40


@pytest.mark.slow
def test_a_run_that_fails(arguments, tmp_path):
    done = finished(start("table3", *arguments, "sparse_optimizer.lr=1e30", "train.warmup_steps=0", module=MODULE), 120)
    assert done.status == 2 and not (tmp_path / "out").exists()
    one_line(done, "run 'tiny-", "failed with status 2: ", "not finite", "output.txt'")
