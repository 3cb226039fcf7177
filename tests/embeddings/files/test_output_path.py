"""Where outputs may be written: said before any work, and nothing is left."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from embeddings.errors import InputError
from embeddings.files.output_path import output_file, output_folder, output_place

ALL = (output_file, output_folder, output_place)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch) -> Path:
    """A folder to be in: ``folder``, ``file``, and links to both, to what is not there, and to themselves."""
    here = tmp_path / "here"
    (here / "folder").mkdir(parents=True)
    (here / "file").write_text("")
    for link, target in {"to-folder": "folder", "to-file": "file", "to-new": "gone/new", "loop": "loop"}.items():
        (here / link).symlink_to(target)
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return here


def refusal(check, path: str) -> str:
    before = sorted(Path().rglob("*"))
    with pytest.raises(InputError) as caught:
        check(path)
    assert "\n" not in str(caught.value) and sorted(Path().rglob("*")) == before
    return str(caught.value)


@pytest.mark.parametrize("check", ALL)
def test_paths_that_any_output_may_have(here: Path, tmp_path: Path, check):
    before = sorted(tmp_path.rglob("*"))
    wanted = {
        "new": "new",
        "a/b/c": "a/b/c",
        "folder/x": "folder/x",
        "a/../b": "b",
        "./b": "b",
        "to-new": f"{here}/gone/new",
        "to-folder/x": f"{here}/folder/x",
        f"{here}/new": f"{here}/new",
        "~/x": f"{tmp_path}/home/x",
    }
    assert {path: check(path) for path in wanted} == wanted
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("check", ALL)
def test_paths_that_none_may_have(check):
    for path, why in {
        "": "'' is no path",
        "a\0b": "is no path",
        "s3://bucket/x": "is an address; allowed: a path of this machine",
        "loop": "is a link that leads to itself",
        "file/x": "as '.*file' is a file",
        "x" * 129: "has a name of 129 bytes; allowed: 128",
        "y" * 300 + "/x": "has a name of 300 bytes",
    }.items():
        assert re.search(why, refusal(check, path)), path


def test_a_file():
    assert output_file("file") == "file"
    assert output_file("to-file") == os.path.abspath("file")
    for path in ("folder", "to-folder", "file/", "new/", ".", "..", "a/.."):
        assert "is a folder; name a file in it" in refusal(output_file, path)
    assert "is no plain file" in refusal(output_file, "/dev/null")


def test_a_folder_that_appears_as_a_whole():
    assert output_folder("new/") == "new" and output_folder("folder/") == "folder"
    assert output_folder("to-folder") == os.path.abspath("folder"), "what a link leads to is replaced, not the link"
    for path in (".", "..", "folder/..", "/"):
        assert "is or holds the current folder, which cannot be replaced" in refusal(output_folder, path)
    assert "is a file; name a folder" in refusal(output_folder, "file/")
    assert "is the top of a disk" in refusal(output_folder, "/proc")


def test_a_folder_that_files_are_put_into():
    assert output_place(".") == "." and output_place("folder/") == "folder" and output_place("..") == ".."
    assert "is a file; name a folder" in refusal(output_place, "to-file")


@pytest.mark.parametrize("check", ALL)
def test_a_disk_that_is_read_only(check, here: Path):
    place = here / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(place)], capture_output=True).returncode:
        pytest.skip("no right to mount")
    try:
        assert "nothing can be made in '" in refusal(check, "disk/a/b")
        assert "(read-only file system); name another place" in refusal(check, "disk/a")
    finally:
        subprocess.run(["umount", str(place)], check=True)
