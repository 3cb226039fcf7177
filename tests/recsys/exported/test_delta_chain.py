"""A chain of deltas: each follows the one before, whatever is wrong with one ends it, half of one is never there."""

import json
import shutil

import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.files.file_entry import FileEntry, sha256
from recsys.exported.versions import Versions
from recsys.stream.position import StreamPosition
from tests.recsys.exported.artefacts import export, make_folder
from tests.recsys.exported.deltas import chain_of, write_delta
from tests.serve.tiny_model import SETTINGS


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A model with three deltas."""
    root = tmp_path_factory.mktemp("chain")
    data = make_folder(root / "data")
    export(root / "model", data, SETTINGS)
    for seed in (1, 2, 3):
        write_delta(root / "model", seed)
    return root / "model"


@pytest.fixture
def model(made, tmp_path):
    return shutil.copytree(made, tmp_path / "model")


def merged(root, deltas=3):
    chain = chain_of(root)
    result = chain.start()
    for _ in range(deltas):
        result = chain.next(result)
    return result


def test_a_chain_is_followed(model):
    all_three = merged(model)
    assert chain_of(model).latest() == all_three.number == 3 and all_three.manifest.name == "000001+3"
    assert all_three.manifest.position.event_time == 3000.0 and all_three.manifest.step == 103
    assert all_three.dense == model / "000001.d" / "000003" / "dense.safetensors"
    last = np.load(model / "000001.d" / "000003" / "tables" / "item.rows.npy")
    assert set(last) < set(all_three.tables["item"].rows)


def flip(folder):
    path = folder / "tables" / "item.npy"
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1
    path.write_bytes(raw)


def manifest_says(**changes):
    def change(folder):
        path = folder / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))
        (folder / "READY").write_text(sha256(path) + "\n")

    return change


HARM = {
    "missing": (shutil.rmtree, "has no READY"),
    "half written": (lambda folder: (folder / "READY").unlink(), "has no READY"),
    "changed": (flip, "item.npy' has changed"),
    "cut": (lambda folder: (folder / "dense.safetensors").write_bytes(b"1"), "it is truncated"),
    "another manifest": (lambda folder: (folder / "manifest.json").write_text("{}"), "has changed since"),
    "no manifest": (manifest_says(step=-1), "step"),
    "of another version": (manifest_says(version="000002"), "is of 000002[+]2, and lies elsewhere"),
    "of another chain": (manifest_says(follows="0" * 64), "follows 000000000000"),
    "of other tables": (manifest_says(tables={"other": 1}), "rows of 'other', and the version no such table"),
    "of other files": (manifest_says(files={"a": {"bytes": 1, "sha256": "0" * 64}}), "lists files"),
}


@pytest.mark.parametrize("harm", HARM)
def test_what_is_wrong_with_a_delta_ends_the_chain(model, harm):
    damage, words = HARM[harm]
    damage(model / "000001.d" / "000002")
    before, chain = merged(model, 1), chain_of(model)
    with pytest.raises(InputError, match=words):
        chain.next(before)


def test_a_delta_that_is_not_written_to_its_end_is_not_there(model):
    chain, position = chain_of(model), StreamPosition(run_id="0" * 32, number=4)
    with pytest.raises(OSError), chain.writing(4, chain.digest(3), 104, position) as (folder, _):
        (folder / "dense.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")
    assert chain.latest() == 3 and sorted(p.name for p in chain.root.iterdir()) == [
        "000001",
        "000002",
        "000003",
        "latest.json",
    ]
    (chain.root / ".000004.host.1-1").mkdir()  # of a process that was killed
    write_delta(model, 4)
    assert merged(model, 4).number == 4 and not list(chain.root.glob(".*"))


def test_what_says_the_latest_may_be_damaged(model):
    (model / "000001.d" / "latest.json").write_text("{")
    with pytest.raises(InputError, match=r"latest.json' is not readable JSON"):
        chain_of(model).latest()


def test_deltas_go_with_their_version(model):
    versions = Versions(model)
    shutil.copytree(model / "000001", model / "000002")
    versions.publish("000002", 5, keep=1)
    assert sorted(p.name for p in model.iterdir()) == ["000002", "current.json"]
    assert FileEntry.of(model / "current.json").bytes
