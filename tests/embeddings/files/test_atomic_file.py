"""Atomic writes: a file or a folder takes its name once it is whole and on disk, and a kill leaves nothing."""

import os
import socket
import subprocess
import sys
import threading

import pytest

from embeddings.files.atomic_file import atomic_folder, atomic_write


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


def test_a_whole_folder_takes_the_old_ones_place(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("1")
    with atomic_folder(tmp_path / "a") as folder:
        (folder / "new").write_text("2")
        assert os.listdir(tmp_path / "a") == ["old"]
    assert os.listdir(tmp_path / "a") == ["new"] and os.listdir(tmp_path) == ["a"]


def test_a_folder_that_is_not_whole_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "a") as folder:
        (folder / "new").write_text("2")
        raise KeyboardInterrupt
    assert not os.listdir(tmp_path)


def test_all_of_a_folder_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    events, fsync, rename = [], os.fsync, os.rename

    def watched_fsync(handle):
        events.append(os.path.basename(os.readlink(f"/proc/self/fd/{handle}")))
        fsync(handle)

    def watched_rename(old, new):
        events.append("renamed")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched_rename)
    with atomic_folder(tmp_path / "a") as folder:
        (folder / "rows").write_text("1")
        (folder / "below").mkdir()
        (folder / "below" / "more").write_text("2")
        (folder / "link").symlink_to("nowhere")
    before, after = events[: events.index("renamed")], events[events.index("renamed") + 1 :]
    assert {"rows", "below", "more", folder.name} == set(before) and after == [tmp_path.name]


KILLED = """
import os, signal, sys
from embeddings.files import atomic_file
if sys.argv[2] == "between":
    rename = os.rename
    os.rename = lambda old, new: (rename(old, new), os.kill(os.getpid(), signal.SIGKILL))
with atomic_file.atomic_folder(sys.argv[1]) as folder:
    (folder / "rows").write_text("half")
    if sys.argv[2] == "inside":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("where", ["inside", "between"])
def test_what_a_killed_process_left_goes_and_the_old_folder_comes_back(tmp_path, where):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "old").write_text("1")
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "a", where], timeout=60)
    assert done.returncode == -9 and (tmp_path / "a").exists() == (where == "inside")
    alive = tmp_path / f".a.{socket.gethostname()}.1-1"  # process 1 runs
    other = tmp_path / f".a.otherhost.{2**22 + 1}-1"
    alive.mkdir()
    other.mkdir()
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "a"):
        assert os.listdir(tmp_path / "a") == ["old"]
        raise ZeroDivisionError
    assert sorted(os.listdir(tmp_path)) == sorted(["a", alive.name, other.name])


def test_what_a_killed_process_of_our_own_id_left_goes(tmp_path):
    left = tmp_path / f".a.{socket.gethostname()}.{os.getpid()}-{threading.get_native_id()}"
    left.mkdir()
    (left / "half").write_text("1")
    with atomic_folder(tmp_path / "a") as folder:
        (folder / "rows").write_text("2")
    assert os.listdir(tmp_path / "a") == ["rows"] and os.listdir(tmp_path) == ["a"]


def test_threads_that_write_the_same_folder_leave_each_others_alone(tmp_path):
    with atomic_folder(tmp_path / "a") as folder:
        (folder / "rows").write_text("mine")

        def write():
            with atomic_folder(tmp_path / "a") as another:
                (another / "rows").write_text("theirs")

        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        assert (tmp_path / "a" / "rows").read_text() == "theirs"
    assert (tmp_path / "a" / "rows").read_text() == "mine" and os.listdir(tmp_path) == ["a"]
