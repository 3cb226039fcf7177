"""The lock of a folder: one holder at a time, known by name, gone with its process, and nothing left of it."""

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from embeddings.errors import InputError
from embeddings.files import folder_lock as module
from embeddings.files.folder_lock import LOCK, folder_lock

HOLD = """
import os, subprocess, sys, time
from embeddings.files.folder_lock import folder_lock
with folder_lock(sys.argv[1], "data folder", "choose another --out"):
    if "fork" not in sys.argv or (subprocess.Popen(["sleep", "60"], stdout=2, close_fds=False) and os.fork()):
        print("held", flush=True)
    time.sleep(60)
"""


def lock(folder: Path, **how):
    return folder_lock(folder, "data folder", "choose another --out", **{"patience_s": 0.0, **how})


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of ``tmp_path/data``; whatever stands in the test's environment stands in its."""
    started = []

    def start(*words: str) -> subprocess.Popen:
        command = [sys.executable, "-c", HOLD, str(tmp_path / "data"), *words]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def refused(folder: Path, **how) -> str:
    """What another thread is told, which is as another process."""
    words = []

    def attempt() -> None:
        try:
            with lock(folder, **how):
                pass
        except InputError as error:
            words.append(str(error))

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return words[0] if words else ""


def test_one_at_a_time_and_nothing_is_left(tmp_path):
    with lock(tmp_path / "new" / "data"):
        said = refused(tmp_path / "new" / "data")
        assert said.startswith(f"data folder '{tmp_path}/new/data' is being written by ")
        assert f"(process {os.getpid()} on {socket.gethostname()}, since 20" in said
        assert said.endswith("; wait until that ends, or choose another --out")
        with lock(tmp_path / "new" / "other"), lock(tmp_path / "new" / "data"):  # nested: of the same thread
            pass
        assert refused(tmp_path / "new" / "data"), "the end of a nested use releases nothing"
    assert os.listdir(tmp_path / "new") == [] and not refused(tmp_path / "new" / "data")


def test_inside_the_folder(tmp_path):
    with lock(tmp_path, inside=True):
        assert os.listdir(tmp_path) == [LOCK]
        assert refused(tmp_path, inside=True) and not refused(tmp_path)
    assert os.listdir(tmp_path) == []


def test_a_process_that_is_killed_releases_it(tmp_path, holder):
    process = holder()
    with pytest.raises(InputError, match=rf"\(process {process.pid} on"), lock(tmp_path / "data"):
        pass
    process.kill()
    process.wait()
    assert os.listdir(tmp_path) == [f".data{LOCK}"]
    with lock(tmp_path / "data"):
        assert str(os.getpid()) in refused(tmp_path / "data")
    assert os.listdir(tmp_path) == []


def test_what_a_killed_holder_started_and_forked_does_not_keep_it(tmp_path, holder):
    process = holder("fork")
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True).stdout
    try:
        assert len(children.split()) == 2
        process.kill()
        process.wait()
        assert not refused(tmp_path / "data")
    finally:
        for pid in children.split():
            os.kill(int(pid), signal.SIGKILL)


def test_a_fork_that_leaves_the_block_takes_nothing_away(tmp_path):
    block = lock(tmp_path / "data")
    block.__enter__()
    fork = os.fork()
    if not fork:
        try:
            block.__exit__(None, None, None)
        finally:
            os._exit(0)
    os.waitpid(fork, 0)
    assert refused(tmp_path / "data")
    block.__exit__(None, None, None)
    assert os.listdir(tmp_path) == []


def test_a_lock_file_that_goes_while_it_is_opened_is_no_lock(tmp_path, monkeypatch):
    """Its holder removes it between our open and our flock."""
    file, flock, removed = tmp_path / f".data{LOCK}", fcntl.flock, []

    def late(handle: int, how: int) -> None:
        if not removed:
            removed.append(file.unlink())
        flock(handle, how)

    monkeypatch.setattr(module.fcntl, "flock", late)
    with lock(tmp_path / "data"):
        assert file.exists() and refused(tmp_path / "data")


@pytest.mark.parametrize("text", [b"", b"{", b"[" * 4000, b'{"pid": -1}', b'{"pid": "x"}', b"\xff\xfe", b"null"])
def test_a_lock_file_that_tells_nothing(tmp_path, monkeypatch, text):
    monkeypatch.setattr(module, "_POLL_S", 0.001)
    with lock(tmp_path / "data"):
        (tmp_path / f".data{LOCK}").write_bytes(text)
        assert "is being written by another process; wait" in refused(tmp_path / "data")


def test_a_lock_file_tells_one_printable_line(tmp_path):
    holder = {"pid": 1, "host": "a\x1b[31mb", "command": "x\n" * 500, "since": "now\r" * 100}
    with lock(tmp_path / "data"):
        (tmp_path / f".data{LOCK}").write_text(json.dumps(holder))
        said = refused(tmp_path / "data")
    assert said.isprintable() and len(said) < 600


def test_a_link_in_the_lock_file_s_place_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("thesis")
    (tmp_path / f".data{LOCK}").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError), lock(tmp_path / "data"):
        pass
    assert (tmp_path / "precious").read_text() == "thesis"


def test_a_disk_without_locks_is_said_and_written_all_the_same(tmp_path, monkeypatch, capsys):
    def refuse(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(module.fcntl, "flock", refuse)
    with lock(tmp_path / "data"):
        pass
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("note: the disk of") and "has no locks" in line and "see to it" in line


def test_a_full_disk_keeps_no_lock_from_being_one(tmp_path, monkeypatch):
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "pwrite", refuse)
        patch.setattr(module, "_POLL_S", 0.001)
        with lock(tmp_path / "data"):
            assert "by another process" in refused(tmp_path / "data")


def told(tmp_path: Path, **changes: object) -> None:
    file = tmp_path / f".data{LOCK}"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_who_may_be_about_to_end_is_waited_for(tmp_path, holder, capfd):
    """A rank whose launcher has ended, and another host's, which may be lost; nobody who is seen to live."""
    process = holder()
    with pytest.raises(InputError), lock(tmp_path / "data", patience_s=600):
        pass
    for changes in ({"launcher": os.getpid() + 1_000_000}, {"host": "elsewhere", "launcher": None}):
        told(tmp_path, **changes)
        with pytest.raises(InputError), lock(tmp_path / "data", patience_s=0.3):
            pass
        assert capfd.readouterr().err.startswith("waiting up to 0 s for the end of ")
    told(tmp_path, host=socket.gethostname(), launcher=os.getpid())
    with pytest.raises(InputError), lock(tmp_path / "data", patience_s=600):
        pass
    told(tmp_path, launcher=1)
    threading.Timer(0.5, process.kill).start()
    with lock(tmp_path / "data", patience_s=600):
        pass


def test_a_rank_tells_its_launcher(tmp_path, monkeypatch):
    for run_id, launcher in (("1", os.getppid()), (None, None)):
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", run_id) if run_id else monkeypatch.delenv("TORCHELASTIC_RUN_ID")
        with lock(tmp_path / "data"):
            assert json.loads((tmp_path / f".data{LOCK}").read_text())["launcher"] == launcher


def test_what_another_users_killed_process_left_is_no_obstacle(tmp_path, monkeypatch):
    """A file that may be read and not be written, in a folder that may be."""
    left, whole = tmp_path / ".data.lock", os.open
    left.write_text("{}")

    def refusing(path, flags, *more, **how) -> int:
        if Path(path) == left and flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return whole(path, flags, *more, **how)

    monkeypatch.setattr(os, "open", refusing)
    with lock(tmp_path / "data"):
        assert left.exists()
    assert not left.exists()


def test_what_is_there_is_refused_before_the_lock_is_waited_for_and_once_it_is_held(tmp_path, monkeypatch):
    seen = []
    with lock(tmp_path / "data", check=lambda: seen.append((tmp_path / ".data.lock").exists())):
        assert seen == [False, True]

    def refuse() -> None:
        raise InputError("it is there")

    with pytest.raises(InputError, match="it is there"), lock(tmp_path / "data", check=refuse):
        pass
    with pytest.raises(InputError, match="it is there"), lock(tmp_path / "data", check=lambda: seen and refuse()):
        pass
    assert list(tmp_path.iterdir()) == []
