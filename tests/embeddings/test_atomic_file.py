"""A file or folder that takes its place once it is whole."""

import contextlib
import json
import os

import pytest

from embeddings.atomic_file import atomic_folder, atomic_write, write_json


def test_a_whole_file_takes_the_old_ones_place(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with atomic_write(path) as out:
        out.write(b"ne")
        assert path.read_text() == "old"
        out.write(b"w")
    assert path.read_text() == "new" and os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_what_is_not_whole_leaves_nothing(tmp_path, error):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(error), atomic_write(path) as out:
        out.write(b"ne")
        raise error
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.json"]


def test_others_may_read_it_as_they_may_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a.json"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o640


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "no" / "a.json"):
        pass


def test_json_is_whole_or_as_before(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": 2, "b": object()})
    assert json.loads(path.read_text()) == {"a": 1} and [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("error", [None, ZeroDivisionError])
def test_a_folder_takes_the_old_ones_place_once_it_is_whole(tmp_path, error):
    path = tmp_path / "store"
    path.mkdir()
    (path / "old").touch()
    with contextlib.suppress(ZeroDivisionError), atomic_folder(path) as folder:
        (folder / "new").touch()
        assert os.listdir(path) == ["old"]
        if error is not None:
            raise error
    assert os.listdir(path) == ["new" if error is None else "old"] and os.listdir(tmp_path) == ["store"]
