"""The evaluate command: a split's metrics by the checkpoint that is named, and runs that it refuses."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.train import tiny
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


def test_a_folder_with_the_one_split_is_enough(config, tmp_path):
    run, day = tmp_path / "runs" / "run", tmp_path / "day"
    assert cli("ctr", "--config", config(), "train.epochs=1", "data.test=null").status == 0
    tiny.write_split(day, "test", tiny.rows(50, 7))
    done = cli("evaluate", run, f"data.path={day}")
    assert (
        done.status == 0 and "note: " in done.err and "has no split 'train': no metrics by item frequency" in done.err
    )
    written = json.loads((run / "evaluation" / "test.json").read_text())
    assert written["overall"]["rows"] == 50 and written["data"] == str(day)
    assert not {"frequency_groups", "new_items", "known_items"} & written.keys()
    tiny.write_split(day, "test", tiny.rows(50, 7).drop_columns(["label"]))
    done = cli("evaluate", run, f"data.path={day}")
    assert done.status == 2 and "has no column 'label'" in done.errors[-1] and "Traceback" not in done.err


def test_figures_are_printed_whatever_becomes_of_the_file(config, own_data, tmp_path):
    run, split = tmp_path / "runs" / "run", own_data / "test" / "part-0.parquet"
    assert cli("ctr", "--config", config(own_data), "train.epochs=1", "data.test=null").status == 0
    (run / "evaluation").write_text("no folder")
    done = cli("evaluate", run)
    assert done.status == 2 and "test (epoch 1): auc 0." in done.out
    assert "the evaluation is printed, and cannot be written to '" in done.err and "Traceback" not in done.err
    (run / "evaluation").unlink()
    table = pq.read_table(split)
    pq.write_table(table.set_column(0, "label", pa.array(np.ones(table.num_rows, np.int8))), split)
    done = cli("evaluate", run)
    assert done.status == 0, done.err
    assert "  no auc, gauc, gauc_unweighted, ne: all 200 rows have label 1" in done.out and "log_loss 0." in done.out


def test_a_folder_that_is_no_run_of_ctr(tmp_path):
    one_line(cli("evaluate", tmp_path / "runs" / "no"), "is no run folder: it has no config.yaml")
    (tmp_path / "config.yaml").write_text("data: {path: none}\n")
    (tmp_path / "run.json").write_text('{"mode": "scl"}')
    one_line(cli("evaluate", tmp_path), "is a run of contrastive learning, which scores no impressions")
