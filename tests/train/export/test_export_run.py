"""Exports of trained runs: scores, which rows were trained, checkpoints of any kind, and runs that have no export."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from embeddings.hashing import fmix64
from recsys.exported.manifest import read_manifest
from recsys.exported.model import ExportedModel
from recsys.exported.versions import Versions
from recsys.schema import Schema, load_schema, save_schema
from tests.train import tiny
from tests.train.checkpoint.earlier import make_earlier
from tests.train.launch import cli, one_line


def exported(run: Path, out: Path, *arguments: object) -> Path:
    """The folder of the version that the command wrote."""
    done = cli("export", run, "--out", out, *arguments)
    assert done.status == 0, done.err
    return out / Versions(out).current()


def logits(*arguments: object, out: Path) -> np.ndarray:
    done = cli("predict", *arguments, "--out", out)
    assert done.status == 0, done.err
    p = pq.read_table(out)["score"].to_numpy().astype(np.float64)
    return np.log(p / (1 - p))


def trained_ids(folder: Path) -> dict[str, set[int]]:
    """Rows of each table that the training split reads."""
    table = pq.read_table(folder / "train")
    histories = [items[-6:] for items in table["history"].to_pylist()]
    return {
        "user": set(table["user"].to_pylist()),
        "item": set(table["item"].to_pylist()) | {i for items in histories for i in items},
        "tag": {tag for tags in table["tags"].to_pylist() for tag in tags},
    }


def bits(version: Path) -> dict[str, set[int]]:
    """Rows of each table that count as trained."""
    tables = ExportedModel.open(version, {}).tables
    return {name: set(np.flatnonzero(t.trained(np.arange(t._rows.shape[0]))).tolist()) for name, t in tables.items()}


def test_rows_that_training_never_read_are_known_as_such(trained, sparse_data, tmp_path):
    wanted, got = trained_ids(sparse_data), bits(exported(trained(), tmp_path / "m"))
    assert got == wanted and {len(ids) for ids in wanted.values()}.isdisjoint({40, 60, 100})


def test_the_seed_of_training_says_what_rows_were_like_before(trained, sparse_data, tmp_path):
    run = trained("train.seed=11")
    other = exported(run, tmp_path / "m", "train.seed=12", "train.reset_tables=each_epoch")
    assert bits(other) == trained_ids(sparse_data)


@pytest.mark.parametrize("checkpoint", ["newest", "step-00000006"])
def test_so_they_are_where_tables_begin_anew_with_each_epoch(trained, sparse_data, tmp_path, checkpoint):
    """Their initial weights are another epoch's: the second's, and for the first epoch's checkpoint the first's."""
    run = trained("train.reset_tables=each_epoch")
    assert bits(exported(run, tmp_path / "m", "--checkpoint", checkpoint)) == trained_ids(sparse_data)


def test_checkpoints_of_earlier_versions_give_the_same_files(trained, tmp_path):
    run = Path(shutil.copytree(trained(), tmp_path / "run"))
    before = read_manifest(exported(run, tmp_path / "m", "--checkpoint", "newest"))
    make_earlier(run / "checkpoints" / before.source.checkpoint)
    after = read_manifest(exported(run, tmp_path / "m", "--checkpoint", "newest"))
    assert after.files == before.files and before.tables.keys() == {"user", "item", "tag"}


def test_what_the_manifest_says(trained, sparse_data, tmp_path):
    run = trained()
    version = exported(run, tmp_path / "m", "--table", "item=int8", "--table", "tag=float16")
    manifest = read_manifest(version)
    best = json.loads((run / "checkpoints" / "best.json").read_text())["checkpoint"]
    assert manifest.source.run == str(run) and manifest.source.checkpoint == best
    assert manifest.source.step == int(best.removeprefix("step-"))
    assert {name: entry.dtype for name, entry in manifest.tables.items()} == {
        "user": "float32", "item": "int8", "tag": "float16"
    }  # fmt: skip
    assert manifest.stores["text"].path == str(sparse_data / "frozen" / "text")
    assert load_schema(str(version)) == load_schema(str(sparse_data))
    assert not [p for p in version.rglob("*") if p.suffix in (".pt", ".pkl", ".bin")], "no pickles"


def test_a_make_that_was_trained_alone(trained, sparse_data, tmp_path):
    run = trained("train.epochs=1", command="make") / "text"
    version = exported(run, tmp_path / "m")
    assert read_manifest(version).tables == {} and read_manifest(version).stores.keys() == {"text"}
    wanted = logits(run, out=tmp_path / "run")
    got = logits("--model", tmp_path / "m", "--data", sparse_data, out=tmp_path / "model")
    assert np.abs(got - wanted).max() < 1e-5 and wanted.std() > 0


def test_a_model_with_a_make_that_it_took(trained, sparse_data, tmp_path):
    """Where the weights came from is of no importance to whoever serves it."""
    source = trained("train.epochs=1", command="make")
    take = ["model.multimodal.mode=simtier+make", f"model.multimodal.make.run={source}", "train.epochs=1"]
    run = trained(*take)
    version = exported(run, tmp_path / "m")
    assert read_manifest(version).model.multimodal.make.run is None
    got = logits("--model", tmp_path / "m", "--data", sparse_data, out=tmp_path / "model")
    assert np.abs(got - logits(run, out=tmp_path / "run")).max() < 1e-5


def test_names_of_tables_are_names_of_files(tmp_path):
    """Letters of any script, Python's own words, and long ones."""
    names = {"user": "items", "item": "\u00e9t\u00e9-\u6f22", "tag": "x" * 120}
    data = tiny.make_data(tmp_path / "data", train_rows=64)
    raw = tiny.SCHEMA.model_dump()
    raw["tables"] = {names[name]: table for name, table in raw["tables"].items()}
    for feature in raw["features"]:
        feature["table"] = names.get(feature["table"])
    save_schema(Schema.model_validate(raw), str(data))
    (tmp_path / "run.yaml").write_text(
        f"data: {{path: {data}, batch_size: 32}}\nmodel: {{embedding_dim: 4, over_arch: [4]}}\n"
        f"process: {{device: cpu, threads: 1}}\nrun: {{root: {tmp_path}}}\n"
    )
    assert cli("ctr", "--config", tmp_path / "run.yaml").status == 0
    version = exported(tmp_path / "run", tmp_path / "m", "--table", "\u00e9t\u00e9-\u6f22=int8")
    assert {p.name.partition(".")[0] for p in (version / "tables").iterdir()} == set(names.values())
    assert len(bits(version)[names["user"]]) > 10
    got = logits("--model", tmp_path / "m", "--data", data, out=tmp_path / "model")
    assert np.abs(got - logits(tmp_path / "run", out=tmp_path / "scores")).max() < 0.01


def test_hashed_ids_are_trained_where_they_are_hashed_to(tmp_path):
    data = tiny.make_data(tmp_path / "data", train_rows=64)
    raw = tiny.SCHEMA.model_dump()
    raw["tables"]["tag"] = {"num_embeddings": 300, "ids": "hash"}
    save_schema(Schema.model_validate(raw), str(data))
    (tmp_path / "run.yaml").write_text(
        f"data: {{path: {data}, batch_size: 32}}\nmodel: {{embedding_dim: 4, over_arch: [4]}}\n"
        f"process: {{device: cpu, threads: 1}}\nrun: {{root: {tmp_path}}}\n"
    )
    assert cli("ctr", "--config", tmp_path / "run.yaml").status == 0
    ids = np.array(sorted(trained_ids(data)["tag"]))
    rows = np.empty_like(ids)
    fmix64(ids, rows, 300)
    assert bits(exported(tmp_path / "run", tmp_path / "m"))["tag"] == set(rows.tolist())


def test_tables_with_rows_that_are_given_as_ids_come_are_refused(trained, tmp_path):
    """Such a run needs CUDA; its checkpoint is like this one's, but for what the schema says."""
    run = Path(shutil.copytree(trained(), tmp_path / "run"))
    for checkpoint in (run / "checkpoints").glob("step-*"):
        path = checkpoint / "progress.json"
        progress = json.loads(path.read_text())
        progress["schema"]["tables"]["tag"]["ids"] = "zch"
        path.write_text(json.dumps(progress))
    command = ["export", run, "--out", tmp_path / "m", f"data.path={tmp_path / 'no'}"]
    one_line(cli(*command), "tables tag give rows to ids as they come (ids: zch), which no export has; train with")
    assert not (tmp_path / "m").exists()


def test_a_run_of_contrastive_learning_has_no_export(tmp_path):
    (tmp_path / "config.yaml").write_text("data: {path: searches}\nmodel: {bank: {rows: 0}}\n")
    (tmp_path / "run.json").write_text(json.dumps({"mode": "scl"}))
    one_line(cli("export", tmp_path, "--out", tmp_path / "m"), "is a run of contrastive learning, which scores no imp")


def test_a_run_whose_data_are_gone(trained, sparse_data, tmp_path):
    """Schema and stores are known from the checkpoint; only warm-up requests are missing then, which is said."""
    done = cli("export", trained(), "--out", tmp_path / "m", f"data.path={tmp_path / 'no'}")
    assert done.status == 0 and "note: the model gets no warm-up requests: data folder '" in done.err
    version = tmp_path / "m" / "000001"
    assert json.loads((version / "warmup.json").read_text()) == {"requests": []}
    assert read_manifest(version).stores["text"].path == str(sparse_data / "frozen" / "text")
