"""The export command where something is in its way: one clear line, and what was there stays."""

import json
import os
import resource
import shutil
from pathlib import Path

import pytest

from recsys.exported.manifest import read_manifest
from recsys.exported.versions import Versions
from tests.embeddings.files.held_folder import held_elsewhere
from tests.train import tiny
from tests.train.launch import cli, one_line
from train.export import export_run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A trained run, its data beside it."""
    root = tmp_path_factory.mktemp("export")
    data = tiny.make_data(root / "data", train_rows=64)
    (root / "run.yaml").write_text(
        f"data: {{path: {data}, batch_size: 32}}\nmodel: {{embedding_dim: 4, over_arch: [8], "
        "multimodal: {mode: simtier, num_tiers: 4}}\ntrain: {select: auc}\n"
        f"process: {{device: cpu, threads: 1}}\nrun: {{root: {root / 'runs'}}}\n"
    )
    done = cli("ctr", "--config", root / "run.yaml")
    assert done.status == 0, done.err
    return root / "runs" / "run"


@pytest.fixture
def model(run, tmp_path) -> Path:
    """A model with one version."""
    done = cli("export", run, "--out", tmp_path / "models" / "m")
    assert done.status == 0, done.err
    return tmp_path / "models" / "m"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_last_lines_say_what_was_written_and_what_it_changes(run, model):
    done = cli("export", run, "--out", model, "--dtype", "int8", "--table", "user=float32")
    line, change = done.out.splitlines()[-2:]
    assert change.startswith("the tables' dtypes change logits of 200 rows of validation by at most ")
    assert line.startswith(
        f"exported {run}, step-00000002 of epoch 1, as {model}/000002: 3 tables (1 float32, 2 int8), "
    )
    assert read_manifest(model / "000002").source.epoch == 1 and "export: 100%" in done.err


def test_a_slash_a_link_and_the_home_folder(run, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "link").symlink_to("far")
    for out in (f"{tmp_path}/slash//", f"{tmp_path}/x/../dots", "~/home", f"{tmp_path}/link"):
        assert cli("export", run, "--out", out).status == 0
    for name in ("slash", "dots", "home", "far"):
        assert Versions(tmp_path / name).current() == "000001"
    assert not (tmp_path / "x").exists() and (tmp_path / "link").is_symlink()


def test_places_that_are_something_else(run, tmp_path, monkeypatch):
    """Which is said before the checkpoint's files are read."""
    monkeypatch.setattr(export_run, "_checkpoint", lambda *_: pytest.fail("it was read"))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("mine")
    before = tree(tmp_path)
    for out, words in (
        (tmp_path / "file", "is a file; name a folder"),
        (tmp_path / "file" / "m", "is a file"),
        (tmp_path / "notes", "notes' is no exported model: it has no current.json, but todo.txt; name another --out"),
        (run, "is no exported model: it has no current.json, but "),
        ("", "is no path"),
        ("s3://bucket/m", "is a URL"),
        (tmp_path / ("x" * 300), "has a name of 300 bytes"),
    ):
        one_line(cli("export", run, "--out", out), words)
    assert tree(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_cannot_be_written(run, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    one_line(cli("export", run, "--out", tmp_path / "closed" / "m"), "cannot be written")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--table", "usr=int8"], "--table usr: no such table; did you mean 'user'?; allowed: user, item, tag"),
        (["--table", "user=int4"], "--table 'user=int4': 'int4' is not one of 'float32', 'float16', 'int8'"),
        (["--table", "user"], "--table 'user' is not of the form NAME=VALUE"),
        (["--checkpoint", "step-00000009"], "has no checkpoint 'step-00000009'; there are: ['step-00000002']"),
        (["--checkpoint", "../x"], "has no checkpoint '../x'"),
        (["model.embedding_dim=8"], "is of another model: "),
        (["trian.seed=1"], "unknown key 'trian'; did you mean 'train'?"),
    ],
)
def test_mistakes(run, tmp_path, arguments, words):
    one_line(cli("export", run, "--out", tmp_path / "m", *arguments), words)
    assert not (tmp_path / "m").exists(), "nothing is left behind"


def test_a_store_that_is_gone_or_another(run, tmp_path):
    store, aside = run.parent.parent / "data" / "frozen" / "text", tmp_path / "aside"
    shutil.move(store, aside)
    try:
        one_line(cli("export", run, "--out", tmp_path / "m"), "frozen/text")
        import numpy as np

        from embeddings.frozen.store import build_store

        build_store(str(store), np.arange(tiny.ITEMS), np.eye(tiny.ITEMS, tiny.WIDTH) + 1)
        one_line(cli("export", run, "--out", tmp_path / "m"), "has checksum ", "but the run was trained with ")
    finally:
        shutil.rmtree(store, ignore_errors=True)
        shutil.move(aside, store)
    assert not (tmp_path / "m").exists()


def test_a_damaged_checkpoint(run, tmp_path):
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    (checkpoint,) = (copy / "checkpoints").glob("step-*")
    path = checkpoint / "rank-00000.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    one_line(cli("export", copy, "--out", tmp_path / "m"), "rank-00000.safetensors' has changed since it was written")
    (copy / "checkpoints" / "best.json").write_text("{")
    one_line(cli("export", copy, "--out", tmp_path / "m"), "best.json' is damaged")
    shutil.rmtree(copy / "checkpoints")
    one_line(cli("export", copy, "--out", tmp_path / "m"), "has no checkpoint 'best'; there are: none")
    assert not (tmp_path / "m").exists()


def test_another_export_into_the_same_folder(run, model):
    before = tree(model)
    with held_elsewhere(model):
        one_line(cli("export", run, "--out", model), "is being written by", "name another --out")
    assert tree(model) == before


@pytest.mark.parametrize("size", [100, 2000, 5000])
def test_files_that_may_not_grow_further(run, model, size):
    """Of the shell, ulimit -f: as a full disk, at some point of some file."""
    before, limit = tree(model), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
    try:
        done = cli("export", run, "--out", model)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    one_line(done, "file too large")
    assert tree(model) == before and Versions(model).current() == "000001"
    assert cli("export", run, "--out", model).status == 0 and Versions(model).current() == "000002"


@pytest.mark.parametrize("place", ["write_table", "_write_dense", "write_manifest"])
@pytest.mark.parametrize(
    ("end", "status", "words"),
    [
        (OSError(28, "No space left on device"), 2, "no space left on the disk of '"),
        (OSError(5, "Input/output error"), 2, "input/output error"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_an_export_that_ends_early_leaves_what_was_there(run, model, monkeypatch, place, end, status, words):
    def ends(*_: object, **__: object) -> None:
        raise end

    before = tree(model)
    with monkeypatch.context() as patch:
        patch.setattr(export_run, place, ends)
        one_line(cli("export", run, "--out", model), words, status=status)
        one_line(cli("export", run, "--out", model.parent / "new"), words, status=status)
    assert tree(model) == before and not (model.parent / "new").exists()
    assert [p.name for p in model.parent.iterdir()] == ["m"], "no lock, nothing half-written"


def test_old_versions_go(run, model):
    for _ in range(4):
        assert cli("export", run, "--out", model, "--keep", 2).status == 0
    assert sorted(p.name for p in model.iterdir()) == ["000004", "000005", "current.json"]
    one_line(cli("export", run, "--out", model, "--keep", 2, "--table", "a=b"), "is not one of")
    assert json.loads((model / "current.json").read_text())["version"] == "000005"
