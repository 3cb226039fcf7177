"""A run that was interrupted and resumed gives the same numbers as one that was not."""

import json

import pytest

from tests.train.launch import about, cli, finished, rows, start_launched_ranks
from train.run import trainer as loop

STEPS = 12  # an epoch: 384 rows in batches of 32
PLAN = ["sharding.tables.user.sharding_types=[data_parallel]", "data.workers=2"]


def figures(run) -> list[tuple]:
    return [(r["step"], r["epoch"], r["loss"], r["ne"], r["lr_dense"], r["lr_sparse"]) for r in rows(run)]


def evaluations(run) -> dict[int, dict]:
    timeless = {r["step"]: r for r in rows(run, "evaluation")}
    return timeless | {"test": json.loads((run / "evaluation" / "test.json").read_text())}


def trained(config, *overrides):
    done = cli("ctr", "--config", config, *PLAN, *overrides)
    assert done.status == 0, done.err
    return done


@pytest.fixture(scope="module")
def whole(tmp_path_factory, data):
    """The uninterrupted run: its folder."""
    root = tmp_path_factory.mktemp("whole")
    path = root / "run.yaml"
    path.write_text(
        f"data: {{path: {data}, shuffle_rows: 100, batch_size: 32, eval_batch_size: 64}}\n"
        "model: {embedding_dim: 4, over_arch: [8, 8], attention: {hidden: [4]}, dropout: 0.3}\n"
        "train: {epochs: 2, log_every: 1, warmup_steps: 5, select: auc}\n"
        f"process: {{device: cpu, threads: 1}}\nrun: {{root: {root / 'runs'}}}\n"
    )
    trained(path)
    assert len(figures(root / "runs" / "run")) == 2 * STEPS
    return root / "runs" / "run"


@pytest.mark.parametrize("steps", [5, STEPS, STEPS + 7])
def test_max_steps_then_more(whole, config, tmp_path, steps):
    path, run = config(), tmp_path / "runs" / "run"
    done = trained(path, f"train.max_steps={steps}")
    assert figures(run) == figures(whole)[:steps] and about(run)["status"] == "done"
    assert f"epoch {1 + (steps - 1) // STEPS}: validation" in done.out, "what max_steps leaves is validated"
    inside = [] if steps == STEPS else [steps]
    done = trained(path, "run.resume=true")
    assert f"resumed from step-{steps:08d}" in done.out
    assert figures(run) == figures(whole)
    resumed, uninterrupted = evaluations(run), evaluations(whole)
    assert sorted(map(str, resumed)) == sorted(map(str, [*uninterrupted, *inside]))
    for at in (STEPS, 2 * STEPS):
        assert resumed[at] == uninterrupted[at]


def test_stopped_between_two_checkpoints(whole, config, tmp_path, monkeypatch):
    path, run = config(), tmp_path / "runs" / "run"
    log = loop.Trainer._log

    def stop(self, bar):
        log(self, bar)
        if self.state.step == 17:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "_log", stop)
        assert cli("ctr", "--config", path, *PLAN, "train.checkpoint_every=5").status == 130
    assert about(run)["status"] == "interrupted" and len(rows(run)) == 17
    with open(run / "metrics.jsonl", "a") as out:
        out.write('{"kind": "train", "st')  # a row that a killed process did not finish
    done = trained(path, "run.resume=true", "train.checkpoint_every=5")
    assert "resumed from step-00000015: epoch 2, step 15" in done.out
    assert figures(run) == figures(whole) and evaluations(run) == evaluations(whole)
    assert about(run)["status"] == "done" and about(run)["best_epoch"] == about(whole)["best_epoch"]


def test_stopped_between_an_epochs_last_step_and_its_validation(whole, config, tmp_path, monkeypatch):
    path, run = config(), tmp_path / "runs" / "run"

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "_validate", stop)
        assert cli("ctr", "--config", path, *PLAN, "train.checkpoint_every=4").status == 130
    trained(path, "run.resume=true", "train.checkpoint_every=4")
    assert figures(run) == figures(whole) and evaluations(run) == evaluations(whole)


def test_rows_are_the_same_when_windows_are_longer_than_checkpoints_are_apart(config, tmp_path):
    """A window of steps ends at a checkpoint too, so that a resumed run has the same windows."""
    path, apart = config(), ["train.log_every=7", "train.checkpoint_every=5", "train.epochs=1"]
    trained(path, *apart, "run.name=whole")
    assert [r["step"] for r in rows(tmp_path / "runs" / "whole")] == [5, 7, 10, 12]
    trained(path, *apart, "train.max_steps=10")
    trained(path, *apart, "run.resume=true")
    assert figures(tmp_path / "runs" / "run") == figures(tmp_path / "runs" / "whole")


def test_a_finished_run_resumed_only_tests_again(config, tmp_path):
    path, run = config(), tmp_path / "runs" / "run"
    trained(path, "train.epochs=1")
    before = figures(run), evaluations(run)
    (run / "evaluation" / "test.json").unlink()
    trained(path, "train.epochs=1", "run.resume=true")
    assert (figures(run), evaluations(run)) == before


@pytest.mark.parametrize("changed", ["data.shuffle_rows=0", "train.seed=1"])
def test_resume_with_other_settings(config, tmp_path, changed):
    path = config()
    trained(path, "train.max_steps=3")
    done = cli("ctr", "--config", path, *PLAN, "run.resume=true", changed)
    key = changed.split("=")[0].split(".")[1]
    assert done.status == 2 and len(done.errors) == 1, done.err
    assert f"cannot go on reading split 'train': {key} is" in done.err and "or start a new run" in done.err


def test_resume_without_a_checkpoint(config, tmp_path):
    path = config()
    done = cli("ctr", "--config", path, "run.resume=true")
    assert done.status == 2 and "has no checkpoint; start it without run.resume" in done.err
    (tmp_path / "runs" / "run" / "checkpoints" / ".writing-step-00000003").mkdir(parents=True)
    done = cli("ctr", "--config", path, "run.resume=true")
    assert done.status == 2 and "is empty; start it without run.resume" in done.err


@pytest.mark.slow
def test_two_ranks(config, tmp_path):
    path = config()

    def launched(*overrides):
        arguments = ["ctr", "--config", path, "data.batch_size=16", *overrides]
        done = finished(start_launched_ranks(2, *arguments), 240)
        return done

    assert launched("run.name=whole").status == 0
    assert launched("train.max_steps=17", "train.checkpoint_every=5").status == 0
    done = launched("run.resume=true", "train.checkpoint_every=5")
    assert done.status == 0, done.err
    runs = tmp_path / "runs"
    assert figures(runs / "run") == figures(runs / "whole") and len(figures(runs / "run")) == 2 * STEPS
