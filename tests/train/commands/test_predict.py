"""Evaluate and predict: the same numbers as the run itself, rows in the files' order, clear refusals."""

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from tests.embeddings.files.held_folder import held_elsewhere
from tests.train import tiny
from tests.train.launch import cli, finished, one_line, start_launched_ranks

SPLIT_ROWS = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Data whose test split is two files, and a trained run of it in ``runs/run``."""
    root = tmp_path_factory.mktemp("predict")
    data = tiny.make_data(root / "data", train_rows=384)
    for part, seed in enumerate((2, 3)):
        table = tiny.rows(SPLIT_ROWS // 2 + part, seed)
        pq.write_table(table, data / "test" / f"part-{part}.parquet", row_group_size=32)
    (root / "run.yaml").write_text(
        f"data: {{path: {data}, batch_size: 32, eval_batch_size: 48, workers: 3}}\n"
        "model: {embedding_dim: 4, over_arch: [8]}\ntrain: {epochs: 2, warmup_steps: 5, select: auc}\n"
        f"process: {{device: cpu, threads: 1}}\nrun: {{root: {root / 'runs'}}}\n"
    )
    done = cli("ctr", "--config", root / "run.yaml")
    assert done.status == 0, done.err
    return root


@pytest.fixture(scope="module")
def run(folder) -> Path:
    return folder / "runs" / "run"


@pytest.fixture(scope="module")
def model(folder, run) -> Path:
    """The run's export."""
    done = cli("export", run, "--out", folder / "models" / "tiny")
    assert done.status == 0, done.err
    return folder / "models" / "tiny"


def by_model(model: Path, data: Path, out: Path, *arguments: object) -> pa.Table:
    """Scores by an exported model."""
    done = cli("predict", "--model", model, "--data", data, "--out", out, *arguments)
    assert done.status == 0, done.err
    return pa.concat_tables(pq.read_table(p) for p in sorted(out.glob("part-*.parquet")))


def test_an_exported_model_gives_the_runs_scores(folder, run, model, tmp_path):
    """The same columns and rows; logits are the same to 1e-5, though no table is sharded and no DMP is there."""
    wanted = predicted(run, tmp_path / "run", "--labels")
    got = by_model(model, folder / "data", tmp_path / "model", "--labels")
    assert got.schema == wanted.schema and got.drop_columns("score").equals(wanted.drop_columns("score"))
    logits = [np.log(p / (1 - p)) for p in (t["score"].to_numpy().astype(np.float64) for t in (got, wanted))]
    assert np.abs(logits[0] - logits[1]).max() < 1e-5 and np.std(logits[0]) > 1e-3


def test_a_version_and_a_store_that_has_moved(folder, run, model, tmp_path):
    first = by_model(model, folder / "data", tmp_path / "first", "--version", "000001")
    other = shutil.copytree(model, tmp_path / "other")
    assert cli("export", run, "--out", other, "--dtype", "int8").status == 0
    assert not by_model(other, folder / "data", tmp_path / "second").equals(first)
    assert by_model(other, folder / "data", tmp_path / "again", "--version", "000001").equals(first)
    data = tiny.make_data(tmp_path / "moved", train_rows=64)
    store = Path(shutil.move(data / "frozen" / "text", tmp_path / "elsewhere"))
    lost = json.loads((other / "000001" / "manifest.json").read_text())["stores"]["text"]["path"]
    shutil.move(lost, tmp_path / "hidden")
    try:
        command = ["predict", "--model", other, "--data", data, "--out", tmp_path / "third"]
        one_line(cli(*command), "modality 'text': ", "or name its store by --store text=FOLDER")
        done = cli(*command, "--store", f"text={store}")
        assert done.status == 0, done.err
    finally:
        shutil.move(tmp_path / "hidden", lost)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["RUN", "--model", "MODEL", "--data", "DATA"], "RUN and --model exclude each other, got "),
        ([], "nothing to score with; name a RUN, such as runs/shop, or an exported model by --model"),
        (["--model", "MODEL"], "--model needs a data folder; name it by --data"),
        (["--model", "MODEL", "--data", "DATA", "--checkpoint", "best"], "--checkpoint is of a RUN; an exported model"),
        (["RUN", "--data", "DATA"], "--data is for --model, which is not given; a RUN takes --checkpoint, data.path="),
        (["RUN", "--version", "000001"], "--version is for --model"),
        (["RUN", "--store", "text=x"], "--store is for --model"),
        (["--model", "MODEL", "--data", "DATA", "--version", "2"], "has no version '2'; there are: 000001"),
        (
            ["--model", "MODEL", "--data", "DATA", "--store", "txet=x"],
            "uses no modality of that name; did you mean",
        ),
        (["--model", "MODEL", "--data", "DATA", "--store", "text"], "'text' is not of the form NAME=VALUE"),
        (["--model", "MODEL", "--data", "DATA", "--store", "text=no"], "modality 'text': "),
        (["--model", "MODEL", "--data", "nowhere"], "data folder 'nowhere' does not exist"),
        (["--model", "MODEL", "--data", "DATA", "--split", "tets"], "split 'tets' is not in"),
        (["--model", "RUN", "--data", "DATA"], "has no current.json: it is no exported model; make one with"),
    ],
)
def test_mistakes_with_a_model(run, model, folder, tmp_path, arguments, words):
    places = {"RUN": run, "MODEL": model, "DATA": folder / "data"}
    done = cli("predict", *(places.get(a, a) for a in arguments), "--out", tmp_path / "scores")
    one_line(done, words)
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_a_data_folder_of_another_schema_is_refused_for_a_model_too(model, tmp_path):
    data = tiny.make_data(tmp_path / "data", train_rows=64)
    text = (data / "schema.yaml").read_text()
    (data / "schema.yaml").write_text(text.replace("max_length: 6", "max_length: 5"))
    command = ["predict", "--model", model, "--data", data, "--out", tmp_path / "scores"]
    one_line(cli(*command), "features.history.max_length is 5, trained with 6")
    (data / "schema.yaml").unlink()
    assert "has no schema.yaml: the run's own is used" in cli(*command).err
    assert pq.read_table(tmp_path / "scores").num_rows == 200


def rows_of(folder, split: str = "test") -> pa.Table:
    return pa.concat_tables(pq.read_table(p) for p in sorted((folder / "data" / split).glob("*.parquet")))


def predicted(run, out: Path, *arguments) -> pa.Table:
    done = cli("predict", run, "--out", out, *arguments)
    assert done.status == 0, done.err
    assert not [p for p in out.parent.iterdir() if p.name.startswith(".scores")]
    return pa.concat_tables(pq.read_table(p) for p in sorted(out.glob("part-*.parquet")))


def test_predictions_give_the_runs_own_test_metrics(folder, run, tmp_path):
    scores = predicted(run, tmp_path / "scores", "--labels")
    wanted = rows_of(folder)
    assert scores.num_rows == wanted.num_rows == 201
    for mine, theirs in (("user", "user"), ("target", "item"), ("label", "label")):
        assert scores[mine].to_pylist() == wanted[theirs].to_pylist(), "rows are in the files' order"
    labels, p = scores["label"].to_numpy(), scores["score"].to_numpy().astype(np.float64)
    metrics = json.loads((run / "evaluation" / "test.json").read_text())["overall"]
    assert metrics["auc"] == pytest.approx(roc_auc_score(labels, p), abs=1e-6)
    assert metrics["log_loss"] == pytest.approx(log_loss(labels, p), abs=1e-6)
    assert metrics["calibration"] == pytest.approx(p.mean() / labels.mean(), abs=1e-5)
    users, weighted, total = scores["user"].to_numpy(), 0.0, 0
    for user in np.unique(users):
        mine = users == user
        if 0 < labels[mine].sum() < mine.sum():
            weighted += mine.sum() * roc_auc_score(labels[mine], p[mine])
            total += mine.sum()
    assert metrics["gauc"] == pytest.approx(weighted / total, abs=1e-6)


def test_each_row_keeps_its_score(folder, run, tmp_path):
    """Reversing the rows of a file reverses its scores."""
    before = predicted(run, tmp_path / "before")
    other = tiny.make_data(tmp_path / "other", train_rows=64)
    tiny.write_split(other, "test", rows_of(folder).take(np.arange(201)[::-1]))
    after = predicted(run, tmp_path / "after", f"data.path={other}")
    np.testing.assert_allclose(after["score"].to_numpy()[::-1], before["score"].to_numpy(), rtol=1e-5)


def test_evaluate_repeats_the_runs_evaluation(run):
    path = run / "evaluation" / "test.json"
    before = path.read_text()
    path.unlink()
    done = cli("evaluate", run)
    assert done.status == 0 and path.read_text() == before


def test_evaluate_another_split_and_checkpoint(run):
    done = cli("evaluate", run, "--split", "validation", "--checkpoint", "step-00000012")
    assert done.status == 0, done.err
    again = json.loads((run / "evaluation" / "validation.json").read_text())
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    logged = next(row for row in lines if row["kind"] == "evaluation" and row["step"] == 12)
    assert again["epoch"] == 1 and again["overall"]["auc"] == logged["auc"] and again["overall"]["ne"] == logged["ne"]


def test_predict_data_without_labels(run, tmp_path):
    other = tiny.make_data(tmp_path / "other", train_rows=64)
    tiny.write_split(other, "fresh", tiny.rows(50, 7).drop_columns(["label"]))
    scores = predicted(run, tmp_path / "scores", "--split", "fresh", "--no-labels", f"data.path={other}")
    assert scores.column_names == ["user", "target", "score"] and scores.num_rows == 50
    assert np.isfinite(scores["score"].to_numpy()).all()
    done = cli("predict", run, "--out", tmp_path / "more", "--split", "fresh", "--labels", f"data.path={other}")
    assert done.status == 2 and "has no column 'label'" in done.err
    assert not list(tmp_path.glob("more*"))


def test_the_timestamp_is_kept(tmp_path):
    raw = tiny.SCHEMA.model_dump() | {"timestamp": "shown_at", "modalities": {}}
    data = tiny.make_data(tmp_path / "data", train_rows=64)
    from recsys.schema import Schema, save_schema

    save_schema(Schema.model_validate(raw), str(data))
    for split in ("train", "validation", "test"):
        table = pq.read_table(data / split / "part-0.parquet")
        tiny.write_split(data, split, table.append_column("shown_at", pa.array(np.arange(table.num_rows) + 7)))
    (tmp_path / "run.yaml").write_text(
        f"data: {{path: {data}, batch_size: 32}}\nmodel: {{embedding_dim: 4, over_arch: [8]}}\ntrain: {{select: auc}}\n"
        f"process: {{device: cpu, threads: 1}}\nrun: {{root: {tmp_path}}}\n"
    )
    assert cli("ctr", "--config", tmp_path / "run.yaml").status == 0
    scores = predicted(tmp_path / "run", tmp_path / "scores")
    assert scores["shown_at"].to_pylist() == list(range(7, 207))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "'nowhere' is no run folder: it has no config.yaml; runs are in runs/ unless run.root says else"),
        (["RUN", "--split", "tets"], "split 'tets' is not in"),
        (
            ["RUN", "--checkpoint", "step-00000013"],
            "has no checkpoint 'step-00000013'; there are: ['step-00000012', 'st",
        ),
        (["RUN", "--checkpoint", "bset"], "has no checkpoint 'bset'; there are: "),
        (["RUN", "model.embedding_dim=8"], "is of another model: "),
        (["RUN", "trian.seed=1"], "unknown key 'trian'; did you mean 'train'?"),
        (["RUN", "data.path=nowhere"], "data folder 'nowhere' does not exist"),
    ],
)
def test_mistakes(run, tmp_path, arguments, words):
    arguments = [str(run) if a == "RUN" else a for a in arguments]
    for command in (["evaluate", *arguments], ["predict", *arguments, "--out", tmp_path / "scores"]):
        done = cli(*command)
        assert done.status == 2 and len(done.errors) == 1 and words in done.err, done.err
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_a_run_of_contrastive_learning_scores_nothing(tmp_path):
    (tmp_path / "config.yaml").write_text("data: {path: searches}\nmodel: {bank: {rows: 0}}\n")
    (tmp_path / "run.json").write_text(json.dumps({"mode": "scl"}))
    for command in (["evaluate", tmp_path], ["predict", tmp_path, "--out", tmp_path / "scores"]):
        done = cli(*command)
        assert done.status == 2 and len(done.errors) == 1, done.err
        assert "is a run of contrastive learning, which scores no impressions; python -m train encode" in done.err


def test_an_output_folder_that_exists(run, tmp_path):
    (tmp_path / "scores").mkdir()
    done = cli("predict", run, "--out", tmp_path / "scores")
    assert done.status == 2 and "scores' exists; name another --out, or remove it" in done.err


def test_a_full_disk_leaves_nothing(run, tmp_path, monkeypatch):
    def full(self, table):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    done = cli("predict", run, "--out", f"{tmp_path}/scores/")
    one_line(done, f"no space left on the disk of '{tmp_path}/scores', and nothing was kept there; free some or")
    assert not list(tmp_path.iterdir())


def test_a_slash_at_the_end_and_links_are_followed(run, tmp_path):
    (tmp_path / "link").symlink_to("far/scores")
    done = cli("predict", run, "--out", f"{tmp_path}/link/")
    assert done.status == 0, done.err
    assert (tmp_path / "link" / "part-00000.parquet").is_file() and (tmp_path / "link").is_symlink()


@pytest.mark.slow
def test_two_ranks_and_one_agree(folder, run, tmp_path):
    """Trained on one rank, scored on two, and the other way round."""
    alone = predicted(run, tmp_path / "alone", "--labels")
    done = finished(start_launched_ranks(2, "predict", run, "--out", tmp_path / "two", "--labels"))
    assert done.status == 0, done.err
    parts = sorted((tmp_path / "two").glob("*.parquet"))
    assert [p.name for p in parts] == ["part-00000.parquet", "part-00001.parquet"]
    two = pa.concat_tables(map(pq.read_table, parts))
    assert two.drop_columns("score").equals(alone.drop_columns("score"))
    np.testing.assert_allclose(two["score"].to_numpy(), alone["score"].to_numpy(), rtol=1e-5)

    config = ["ctr", "--config", folder / "run.yaml", "run.name=two", "data.batch_size=16"]
    done = finished(start_launched_ranks(2, *config))
    assert done.status == 0, done.err
    path = folder / "runs" / "two" / "evaluation" / "test.json"
    evaluation = json.loads(path.read_text())
    assert cli("evaluate", folder / "runs" / "two").status == 0
    again = json.loads(path.read_text())
    assert again["epoch"] == evaluation["epoch"] and again["overall"]["rows"] == evaluation["overall"]["rows"] == 201
    for name in ("auc", "gauc", "ne", "log_loss"):
        assert again["overall"][name] == pytest.approx(evaluation["overall"][name], rel=1e-5)


def test_scores_that_somebody_else_writes_are_refused_before_the_model_is_there(run, tmp_path, monkeypatch):
    monkeypatch.setattr("train.ctr.trained_run.open_run", lambda *_, **__: pytest.fail("two write them"))
    with held_elsewhere(tmp_path / "scores"):
        one_line(cli("predict", run, "--out", tmp_path / "scores"), "scores' is being written by", "name another --out")
    assert list(tmp_path.iterdir()) == []
