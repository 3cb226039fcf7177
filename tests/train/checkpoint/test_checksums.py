"""Files of a checkpoint that are missing, cut or changed."""

import json
import os
from pathlib import Path

import pytest

from embeddings.errors import InputError
from tests.train.checkpoint.runs import checkpoints, cut, resumed
from tests.train.launch import cli
from train.checkpoint.checksums import check_files, checksum, read_progress


def missing(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def one_bit_changed(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)


FILES = ["progress.json", "index.json", "rank-00000.safetensors"]
DAMAGES = [(d, f) for d in (missing, cut, emptied) for f in FILES]
DAMAGES += [(one_bit_changed, f) for f in FILES[1:]]  # progress.json holds the checksums, and has none


@pytest.mark.parametrize(("damage", "name"), DAMAGES)
def test_a_damaged_checkpoint(run, damage, name):
    """Scoring refuses it in one line; resuming says so, sets it aside, and goes on from the one before."""
    newest = run / "checkpoints" / "step-00000024"
    damage(newest / name)
    done = cli("evaluate", run, "--checkpoint", "newest")
    assert done.status == 2 and len(done.errors) == 1, done
    assert "step-00000024' is damaged: " in done.err and "remove it or name another" in done.err, done.err
    done = resumed(run)
    assert done.status == 0 and "resumed from step-00000020: epoch 2, step 20" in done.out, done
    words = [line for line in done.errors if "damaged" in line]
    assert len(words) == 1 and "it is now 'damaged-step-00000024', and the one before is used" in words[0], done.err
    assert "damaged-step-00000024" in checkpoints(run) and checkpoints(run)[-1] == "step-00000036"
    assert cli("evaluate", run, "--checkpoint", "newest").status == 0


def test_what_a_checkpoint_says_of_its_run(run):
    newest = run / "checkpoints" / "step-00000024"
    progress = json.loads((newest / "progress.json").read_text())
    assert progress["config"]["train"]["keep"] == 3 and progress["config"]["data"]["batch_size"] == 32
    assert progress["plan"] == json.loads((run / "plan.json").read_text())
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert progress["metrics"]["evaluation"] == [r for r in rows if r["kind"] == "evaluation"][-1]
    assert progress["metrics"]["train"] == [r for r in rows if r["kind"] == "train"][-1]
    assert set(progress["files"]) == {p.name for p in newest.iterdir()} - {"progress.json"}


def test_what_is_wrong_with_files_is_said(tmp_path):
    (tmp_path / "a").write_bytes(b"123456789")
    assert checksum(tmp_path / "a") == 0xCBF43926, "the CRC-32 of these digits"
    files = {"a": [9, 0xCBF43926]}
    assert check_files(tmp_path, files) is None
    assert check_files(tmp_path, files | {"b": [1, 1]}).startswith("[Errno 2] No such file")
    one_bit_changed(tmp_path / "a")
    assert check_files(tmp_path, files) == "'a' has changed since it was written"
    cut(tmp_path / "a")
    assert check_files(tmp_path, files) == "'a' has 4 bytes instead of 9"


SAVED = {"files": {"a": [9, 1]}, "step": 4, "world_size": 2, "is_best": False, "config": {"any": "thing"}}


def test_progress_is_what_was_saved(tmp_path):
    (tmp_path / "progress.json").write_text(json.dumps(SAVED))
    assert read_progress(tmp_path) == {**SAVED, "files": {"a": (9, 1)}}


@pytest.mark.parametrize(
    "change",
    [
        *({"files": files} for files in (None, [], 7, {"../x": [1, 1]}, {"/etc/passwd": [1, 1]}, {"a": [1]}, {"a": 7},
                                          {"": [1, 1]}, {"..": [1, 1]}, {"a": [-1, 1]}, {"a": ["x", 1]})),
        *({"step": step} for step in (None, -1, "x", 1.5, [], float("nan"), 10**40)),
        *({"world_size": size} for size in (0, -1, None, 10**12)),
        {"is_best": 7},
        {"device": []},
    ],
)  # fmt: skip
def test_progress_of_odd_types_is_damage(tmp_path, change):
    (tmp_path / "progress.json").write_text(json.dumps({**SAVED, **change}))
    with pytest.raises(InputError, match=rf"^checkpoint '.*' is damaged: progress.json: {next(iter(change))}"):
        read_progress(tmp_path)


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "null", "[" * 100_000, '{"files": {}}', "NaN", '{"step": 1' + "0" * 9999]
)
def test_progress_that_is_none_is_damage(tmp_path, text):
    (tmp_path / "progress.json").write_text(text)
    with pytest.raises(InputError, match=r"^checkpoint '.*' is damaged: .*remove it or name another$"):
        read_progress(tmp_path)


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "a")
    assert check_files(tmp_path, {"a": [0, 0]}) == "'a' is no file"
