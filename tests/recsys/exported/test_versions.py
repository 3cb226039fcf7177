"""Versions: one is current, some are kept; writing one that fails or is killed leaves those that are there."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from embeddings.errors import InputError
from recsys.exported import versions as versions_module
from recsys.exported.versions import Versions
from tests.conftest import ROOT
from tests.embeddings.files.held_folder import held_elsewhere


def publish(root: Path, keep: int = 3, content: str = "x") -> str:
    with Versions(root).writing(step=7, keep=keep) as (version, folder):
        (folder / "file").write_text(content)
    return version


def names(root: Path) -> list[str]:
    return sorted(p.name for p in root.iterdir())


def test_versions_are_numbered_and_the_newest_is_current(tmp_path):
    root = tmp_path / "deep" / "m"
    assert Versions(root).all() == []
    assert [publish(root) for _ in range(3)] == ["000001", "000002", "000003"]
    versions = Versions(root)
    assert versions.current() == "000003" and versions.all() == ["000001", "000002", "000003"]
    assert versions.named(None) == "000003" and versions.named("000002") == "000002"
    current = json.loads((root / "current.json").read_text())
    assert (current["version"], current["step"]) == ("000003", 7)
    assert names(root) == ["000001", "000002", "000003", "current.json"], "nothing else is left"
    assert names(root.parent) == ["m"], "no lock is left"


@pytest.mark.parametrize("keep", [1, 2, 4])
def test_the_newest_are_kept(tmp_path, keep):
    for number in range(1, 6):
        publish(tmp_path / "m", keep)
        assert Versions(tmp_path / "m").all() == [f"{n:06d}" for n in range(max(1, number - keep + 1), number + 1)]


def test_a_version_that_was_published_again_is_kept(tmp_path):
    """Whoever goes back to an older version keeps it."""
    for _ in range(3):
        publish(tmp_path)
    Versions(tmp_path).publish("000001", 7, keep=1)
    assert Versions(tmp_path).current() == "000001" and Versions(tmp_path).all() == ["000001", "000003"]


def test_other_names_are_no_versions(tmp_path):
    publish(tmp_path)
    for name in ("12", "000002.old", "0000003\n", "latest", "9" * 13):
        (tmp_path / name).mkdir()
    (tmp_path / "000009").write_text("a file")
    assert Versions(tmp_path).all() == ["000001"]
    with pytest.raises(InputError, match="has no version 'latest'; there are: 000001"):
        Versions(tmp_path).named("latest")
    with pytest.raises(InputError, match=r"has no version '\.\./x'"):
        Versions(tmp_path).named("../x")


@pytest.mark.parametrize("end", [ZeroDivisionError, KeyboardInterrupt, OSError])
def test_a_version_that_fails_leaves_nothing(tmp_path, end):
    def fails(root: Path) -> None:
        with pytest.raises(end), Versions(root).writing(step=1, keep=1) as (_, folder):
            (folder / "half").write_text("x")
            raise end

    fails(tmp_path / "new" / "m")
    assert names(tmp_path / "new") == [], "not even the folder"
    publish(tmp_path / "m")
    fails(tmp_path / "m")
    assert names(tmp_path / "m") == ["000001", "current.json"] and Versions(tmp_path / "m").current() == "000001"


KILLED = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
from embeddings.files import atomic_file
from recsys.exported import versions
root, place = Path(sys.argv[1]), sys.argv[2]
def die(*a, **k):
    os.kill(os.getpid(), signal.SIGKILL)
if place == "renamed":
    versions.Versions.publish = die
if place == "current":
    os.replace = die
if place == "removing":
    versions.shutil = SimpleNamespace(rmtree=die)
with versions.Versions(root).writing(step=1, keep=1) as (version, folder):
    (folder / "file").write_text("x" * 1000)
    if place == "writing":
        die()
"""


@pytest.mark.parametrize(
    ("place", "current"), [("writing", "000001"), ("renamed", "000001"), ("current", "000001"), ("removing", "000002")]
)
def test_a_kill_leaves_a_whole_version_current_and_the_next_clears_up(tmp_path, place, current):
    root = tmp_path / "m"
    publish(root)
    done = subprocess.run([sys.executable, "-c", KILLED, str(root), place], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    versions = Versions(root)
    assert versions.current() == current and (versions.folder(current) / "file").is_file()
    assert all((versions.folder(v) / "file").is_file() for v in versions.all()), "no half version counts"
    assert publish(root, keep=1) == {"writing": "000002"}.get(place, "000003")
    assert names(root) == [versions.current(), "current.json"], "what the killed one left is gone"


def test_a_kill_before_the_first_version_can_be_repeated(tmp_path):
    root = tmp_path / "m"
    subprocess.run([sys.executable, "-c", KILLED, str(root), "writing"], cwd=ROOT, check=False)
    assert not (root / "current.json").exists() and names(root)
    assert publish(root) == "000001" and names(root) == ["000001", "current.json"]


def test_current_json_is_replaced_and_never_half_there(tmp_path):
    publish(tmp_path)
    stop, seen = threading.Event(), set()

    def read() -> None:
        while not stop.is_set():
            seen.add(Versions(tmp_path).current())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(30):
            publish(tmp_path)
    finally:
        stop.set()
        reader.join()
    assert seen <= {f"{n:06d}" for n in range(1, 32)} and "000031" in seen | {Versions(tmp_path).current()}


def test_one_process_writes_at_a_time(tmp_path):
    publish(tmp_path / "m")
    with held_elsewhere(tmp_path / "m"), pytest.raises(InputError, match=r"is being written by .*name another --out"):
        publish(tmp_path / "m")
    assert Versions(tmp_path / "m").all() == ["000001"]


def test_a_folder_of_something_else_is_refused_and_stays(tmp_path):
    (tmp_path / "config.yaml").write_text("mine")
    (tmp_path / "000001").mkdir()
    with pytest.raises(InputError, match=r"is no exported model: it has no current.json, but config.yaml; name anoth"):
        publish(tmp_path)
    assert names(tmp_path) == ["000001", "config.yaml"]
    (tmp_path / "config.yaml").unlink()
    assert publish(tmp_path) == "000002"
    (tmp_path / "NOTES.md").write_text("what each version was for")
    assert publish(tmp_path) == "000003", "beside current.json people may keep what they like"


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "{}", '{"version": "../../x", "step": 1, "published": ""}', "\udcff",
     '{"version": "000001\\n", "step": 1, "published": ""}', '{"version": "1", "step": 1, "published": ""}',
     '{"version": "000001", "step": -1, "published": ""}', '{"version": "000001", "step": 1, "published": "", "x": 1}'],
)  # fmt: skip
def test_a_damaged_current_json_is_one_line(tmp_path, content):
    publish(tmp_path)
    (tmp_path / "current.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(InputError) as caught:
        Versions(tmp_path).current()
    assert "current.json'" in str(caught.value) and "\n" not in str(caught.value)


def test_no_model_at_all(tmp_path):
    for root in (tmp_path, tmp_path / "no"):
        with pytest.raises(InputError, match=r"has no current.json: it is no exported model; make one with"):
            Versions(root).current()
    os.mkfifo(tmp_path / "current.json")
    with pytest.raises(InputError, match="no file; a JSON file is expected"):
        Versions(tmp_path).current()


def test_a_number_is_given_once(tmp_path):
    publish(tmp_path)
    publish(tmp_path)
    (tmp_path / "000002" / "file").unlink()
    (tmp_path / "000002").rmdir()
    assert publish(tmp_path) == "000003"


def test_a_version_that_cannot_become_current_does_not_stay(tmp_path, monkeypatch):
    publish(tmp_path / "m")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(versions_module, "write_json", full)
        for root in (tmp_path / "m", tmp_path / "new"):
            with pytest.raises(OSError, match="No space left"):
                publish(root)
    assert names(tmp_path / "m") == ["000001", "current.json"] and not (tmp_path / "new").exists()
    move = os.rename
    with monkeypatch.context() as patch:
        patch.setattr(
            versions_module.os, "rename", lambda *paths: full() if "removed" in str(paths[1]) else move(*paths)
        )
        with pytest.raises(OSError, match="No space left"):
            publish(tmp_path / "m", keep=1)
    assert Versions(tmp_path / "m").current() == "000002", "it was current already when an old one could not be removed"
    assert (tmp_path / "m" / "000002" / "file").is_file()
    assert publish(tmp_path / "m", keep=1) == "000003" and names(tmp_path / "m") == ["000003", "current.json"]
