"""New versions are checked once, refused in words, counted, and looked at again when they change."""

import json
import multiprocessing
import os
import shutil

import pytest

from embeddings.errors import InputError
from recsys.exported.stores import NoStore
from recsys.exported.versions import Versions
from serve.http import version_watch
from serve.http.version_watch import VersionWatch, check_version
from serve.http.versions_shared import SharedVersions
from tests.embeddings.frozen.stores import flip_bits
from tests.recsys.exported.artefacts import make_folder
from tests.serve.tiny_model import publish, write_version


class Counted:
    def __init__(self) -> None:
        self.count = 0

    def refusal(self) -> None:
        self.count += 1


@pytest.fixture
def watched(own_model, monkeypatch):
    """The watch, what workers see of it, its refusals, and how often a version was read."""
    shared, refusals, read = SharedVersions(multiprocessing.get_context("spawn"), "000001"), Counted(), []

    def check(versions, version, stores):
        read.append(version)
        check_version(versions, version, stores)

    monkeypatch.setattr(version_watch, "check_version", check)
    return VersionWatch(Versions(own_model), {}, shared, refusals), shared, refusals, read


def truncate(folder):
    table = folder / "tables" / "item.npy"
    table.write_bytes(table.read_bytes()[:-8])


def change(folder):
    table = folder / "tables" / "item.npy"
    raw = bytearray(table.read_bytes())
    raw[-5] ^= 1
    table.write_bytes(raw)


def unmark(folder):
    (folder / "READY").unlink()


def forge(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"created": "yesterday"}))


DAMAGE = {
    "cut": (truncate, "item.npy' has"),
    "changed": (change, "item.npy'"),
    "half written": (unmark, "no READY"),
    "another manifest": (forge, "has changed since it was written"),
    "gone": (shutil.rmtree, "000002"),
    "a file in its place": (lambda folder: (shutil.rmtree(folder), folder.touch()), "000002"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_version_is_refused_once_and_taken_when_it_is_whole(own_model, data, watched, capsys, damage):
    watch, shared, refusals, read = watched
    version = write_version(own_model, data, seed=2)
    whole = own_model.parent / "whole"
    shutil.copytree(own_model / version, whole)
    harm, words = DAMAGE[damage]
    harm(own_model / version)
    for _ in range(3):
        watch.look()
    said = capsys.readouterr().err
    assert said.startswith("version 000001 goes on: ") and words in said and said.count("\n") == 1
    assert (shared.wanted, refusals.count, read) == ("000001", 1, [version])
    place = own_model / version
    place.unlink() if place.is_file() else shutil.rmtree(place, ignore_errors=True)
    whole.rename(place)
    watch.look()
    watch.look()
    assert (shared.wanted, refusals.count, len(read)) == (version, 1, 2)
    assert capsys.readouterr().err == f"version {version} is whole; scoring by it\n"


@pytest.mark.parametrize(
    "text", ["", "{", '{"version": "../../etc"}', '{"version": "0000002", "step": 1, "published": ""}']
)
def test_a_damaged_current_json_is_refused_once(own_model, data, watched, capsys, text):
    watch, shared, refusals, _ = watched
    version = write_version(own_model, data, seed=2)
    (own_model / "current.json").write_text(text)
    watch.look()
    watch.look()
    said = capsys.readouterr().err
    assert said.startswith("version 000001 goes on: ") and said.count("\n") == 1
    assert (shared.wanted, refusals.count) == ("000001", 1)
    publish(own_model, version)
    watch.look()
    assert shared.wanted == version


def test_a_model_that_has_gone_and_comes_back(own_model, data, watched, capsys):
    watch, shared, refusals, read = watched
    os.rename(own_model, aside := own_model.parent / "aside")
    watch.look()
    watch.look()
    os.rename(aside, own_model)
    watch.look()
    assert (shared.wanted, refusals.count, read) == ("000001", 1, [])
    assert "no current.json" in capsys.readouterr().err


def test_one_goes_back_to_an_older_version(own_model, data, watched):
    watch, shared, _, _ = watched
    write_version(own_model, data, seed=2)
    watch.look()
    assert shared.wanted == "000002"
    publish(own_model, "000001")
    watch.look()
    assert shared.wanted == "000001"


def test_a_name_that_workers_could_not_tell(own_model):
    os.rename(own_model / "000001", own_model / "0000001")
    with pytest.raises(InputError, match="is no name of a version"):
        check_version(Versions(own_model), "0000001", {})


def test_a_version_whose_store_is_missing_is_looked_at_ever_more_seldom_and_taken_once_it_is_there(
    tmp_path, data, monkeypatch, capsys
):
    now, counted, opened = [1000.0], Counted(), []
    monkeypatch.setattr(version_watch.time, "monotonic", lambda: now[0])
    root, own = tmp_path / "model", make_folder(tmp_path / "data")
    write_version(root, data, seed=1)
    version = write_version(root, own, seed=2)
    shared = SharedVersions(multiprocessing.get_context("spawn"), "000001")
    watch = VersionWatch(Versions(root), {}, shared, counted)
    monkeypatch.setattr(
        version_watch, "open_store", lambda *which, of=version_watch.open_store: opened.append(now[0]) or of(*which)
    )
    monkeypatch.setattr(version_watch, "check_content", lambda *_: pytest.fail("files were read before the stores"))
    os.rename(own / "frozen" / "text", aside := tmp_path / "aside")
    for _ in range(200):
        watch.look()
        now[0] += 1
    assert [time - opened[0] for time in opened] == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    said = capsys.readouterr().err
    assert said.startswith("version 000001 goes on: modality 'text': ") and said.count("\n") == 1
    assert (shared.wanted, counted.count) == ("000001", 1)
    os.rename(own / "frozen" / "image", own / "frozen" / "text")  # another one
    now[0] += 60
    watch.look()
    assert "has checksum" in capsys.readouterr().err and counted.count == 2
    monkeypatch.undo()
    monkeypatch.setattr(version_watch.time, "monotonic", lambda: now[0])
    os.rename(own / "frozen" / "text", own / "frozen" / "image")
    os.rename(aside, own / "frozen" / "text")
    watch.look()
    assert shared.wanted == "000001"
    now[0] += 60
    watch.look()
    assert (shared.wanted, counted.count) == (version, 2)
    assert capsys.readouterr().err == f"version {version} is whole; scoring by it\n"


def test_a_store_that_has_moved_is_named(tmp_path, data):
    root, own = tmp_path / "model", make_folder(tmp_path / "data")
    version = write_version(root, own, seed=1)
    os.rename(own / "frozen" / "text", tmp_path / "moved")
    with pytest.raises(InputError, match="--store text=FOLDER"):
        check_version(Versions(root), version, {})
    check_version(Versions(root), version, {"text": str(tmp_path / "moved")})


def test_a_version_whose_store_is_damaged_waits_for_a_whole_one(tmp_path, data, monkeypatch, capsys):
    now, counted = [1000.0], Counted()
    monkeypatch.setattr(version_watch.time, "monotonic", lambda: now[0])
    root, own = tmp_path / "model", make_folder(tmp_path / "data")
    write_version(root, data, seed=1)
    version = write_version(root, own, seed=2)
    vectors = own / "frozen" / "text" / "vectors.npy"
    whole = vectors.read_bytes()
    flip_bits(vectors)
    shared = SharedVersions(multiprocessing.get_context("spawn"), "000001")
    watch = VersionWatch(Versions(root), {}, shared, counted)
    watch.look()
    said = capsys.readouterr().err
    assert said.startswith("version 000001 goes on: modality 'text': ") and "vectors.npy' has SHA-256" in said
    assert (shared.wanted, counted.count, said.count("\n")) == ("000001", 1, 1)
    with pytest.raises(NoStore):
        check_version(Versions(root), version, {})
    vectors.write_bytes(whole)
    now[0] += 60
    watch.look()
    assert (shared.wanted, counted.count) == (version, 1)
