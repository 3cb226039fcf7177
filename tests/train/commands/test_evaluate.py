"""The evaluate command: a split's metrics by the checkpoint that is named, and runs that it refuses."""

import json

from tests.train.launch import cli, one_line


def test_a_split_is_evaluated_with_the_checkpoint_that_is_named(config, tmp_path):
    run = tmp_path / "runs" / "run"
    assert cli("ctr", "--config", config(), "train.epochs=1", "train.checkpoint_every=5", "data.test=null").status == 0
    scores = {}
    for checkpoint in ("best", "newest", "step-00000012", "step-00000010"):
        done = cli("evaluate", run, "--split", "validation", "--checkpoint", checkpoint)
        assert done.status == 0, done.err
        scores[checkpoint] = json.loads((run / "evaluation" / "validation.json").read_text())["overall"]
    assert scores["best"] == scores["newest"] == scores["step-00000012"] != scores["step-00000010"]
    one_line(cli("evaluate", run, "--checkpoint", "step-7"), "has no checkpoint 'step-7'; there are: ['step-00000010'")
    for path in ("", ".", "..", "../checkpoints/step-00000012", run / "checkpoints" / "step-00000012"):
        one_line(cli("evaluate", run, "--checkpoint", path), f"has no checkpoint '{path}'; there are: ['step-00000010'")
    one_line(cli("evaluate", run, "--split", "tset"), "split 'tset' is not in", "did you mean 'test'?")


def test_a_folder_that_is_no_run_of_ctr(tmp_path):
    one_line(cli("evaluate", tmp_path / "runs" / "no"), "is no run folder: it has no config.yaml")
    (tmp_path / "config.yaml").write_text("data: {path: none}\n")
    (tmp_path / "run.json").write_text('{"mode": "scl"}')
    one_line(cli("evaluate", tmp_path), "is a run of contrastive learning, which scores no impressions")
