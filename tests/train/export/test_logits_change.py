"""What an export says that its tables' dtypes change: as much as scoring by the run and by the model finds."""

import json

import numpy as np
import pyarrow.parquet as pq

from recsys.exported.manifest import read_manifest
from recsys.exported.model import ExportedModel
from recsys.exported.versions import Versions
from tests.train import tiny
from tests.train.launch import cli
from train.export import logits_change


def logits(*arguments: object, out) -> np.ndarray:
    done = cli("predict", *arguments, "--split", "validation", "--out", out)
    assert done.status == 0, done.err
    p = pq.read_table(out)["score"].to_numpy().astype(np.float64)
    return np.log(p / (1 - p))


def test_the_manifest_and_the_terminal_say_how_much(trained, sparse_data, tmp_path):
    run = trained()
    done = cli("export", run, "--out", tmp_path / "m", "--dtype", "int8", "--table", "user=float16")
    assert done.status == 0, done.err
    change = read_manifest(tmp_path / "m" / Versions(tmp_path / "m").current()).logits_change
    assert change is not None and (change.rows, change.split) == (200, "validation")
    assert f"change logits of 200 rows of validation by at most {change.largest:.1e}, {change.mean:.1e} on" in done.out
    found = np.abs(
        logits("--model", tmp_path / "m", "--data", sparse_data, out=tmp_path / "a") - logits(run, out=tmp_path / "b")
    )
    assert abs(found.max() - change.largest) < 1e-6 and abs(found.mean() - change.mean) < 1e-6
    assert change.largest > 1e-5, "or there is nothing to see"


def test_the_runs_tables_know_what_was_trained(trained, tmp_path, monkeypatch):
    opened = []

    class Kept(ExportedModel):
        def __init__(self, *parts):
            opened.append(parts[3])
            super().__init__(*parts)

    monkeypatch.setattr(logits_change, "ExportedModel", Kept)
    assert cli("export", trained(), "--out", tmp_path / "m", "--dtype", "float16").status == 0
    stored, of_run = opened
    rows = np.arange(-1, tiny.USERS + 1)
    assert (of_run["user"].trained(rows) == stored["user"].trained(rows)).all() and of_run["user"].trained(rows).any()


def test_float32_changes_nothing_and_no_rows_tell_nothing(trained, tmp_path):
    done = cli("export", trained(), "--out", tmp_path / "m")
    assert done.status == 0 and "dtypes change" not in done.out
    assert json.loads((tmp_path / "m" / "000001" / "manifest.json").read_text())["logits_change"] is None
    done = cli("export", trained(), "--out", tmp_path / "m", "--dtype", "int8", f"data.path={tmp_path / 'no'}")
    assert done.status == 0 and "note: what the tables' dtypes change is not measured: data folder" in done.err
    assert read_manifest(tmp_path / "m" / "000002").logits_change is None
