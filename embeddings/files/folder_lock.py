"""An exclusive lock (flock) on a folder that is being written: it ends with its process, and tells who holds it."""

import contextlib
import datetime
import errno
import fcntl
import os
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import Field

from embeddings.errors import InputError, one_line, shown
from embeddings.files.json_file import parse_json
from embeddings.launched_rank import below_torchrun
from embeddings.validation import Strict, validated

LOCK = ".lock"  # of a folder that holds its lock itself
_UNSUPPORTED = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}
_MOST_BYTES = 4096  # of what a lock file tells
_POLL_S = 0.1
_PATIENCE_S = 30.0

_held: dict[tuple[int, Path], int] = {}  # (thread, lock file) -> descriptor


class Holder(Strict):
    """Who holds a lock, as the lock file tells it. ``launcher`` is the process that started a rank."""

    pid: int = Field(ge=1)
    host: str
    command: str
    since: str
    launcher: int | None = None

    def __str__(self) -> str:
        return (
            f"{shown(self.command)} (process {self.pid} on {one_line(self.host, 80)}, since {one_line(self.since, 40)})"
        )

    @property
    def sure_to_stay(self) -> bool:
        """Whether it is seen to live, with the launcher that it needs. Nobody knows that of another host's."""
        return self.host == socket.gethostname() and (self.launcher is None or self._parent() == self.launcher)

    def _parent(self) -> int | None:
        try:
            return int(Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):  # it has ended; or there is no /proc
            return None if Path("/proc/self").exists() else self.launcher


@contextlib.contextmanager
def folder_lock(
    folder: str | Path,
    what: str,
    step: str,
    *,
    check: Callable[[], None] = lambda: None,
    inside: bool = False,
    patience_s: float = _PATIENCE_S,
) -> Iterator[None]:
    """While inside, no other process or thread holds the lock of ``folder``. Nested uses of one thread are one.

    The lock file is beside the folder, which may be replaced by a rename meanwhile, and is removed at the end. A killed
    process leaves it, unlocked; whoever comes next takes it. What the process starts does not inherit the lock.

    Args:
        what: what an error calls the folder, such as "data folder".
        step: what to do instead of waiting, such as "choose another --out".
        check: refuses what is at ``folder`` already: before the lock is waited for, and once it is held, as whoever had
            it before may have made something there.
        inside: keep the lock file in the folder, which is there, as ``LOCK``: its parent may not be writable.
        patience_s: how long to wait for a holder that may be about to end: one whose launcher is gone, or of another
            host, whose lock outlives a lost machine for a while.

    Raises InputError where somebody else holds it, OSError where the lock file cannot be written, and what ``check``
    raises.
    """
    check()
    place = Path(os.path.abspath(folder))
    file = place / LOCK if inside else place.with_name(f".{place.name}{LOCK}")
    key = (threading.get_ident(), file)
    if key in _held:
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    _held[key] = _acquired(file, f"{what} '{folder}'", step, patience_s)
    try:
        check()
        yield
    finally:
        handle = _held.pop(key, None)
        if handle is not None:  # else this is a fork of the holder
            with contextlib.suppress(OSError):  # while it is locked, or it would be another's
                file.unlink()
            os.close(handle)


def _acquired(file: Path, where: str, step: str, patience_s: float) -> int:
    """An open descriptor of ``file``, which it locks."""
    until, said = time.monotonic() + patience_s, False
    while True:
        handle = _opened(file)
        with contextlib.ExitStack() as closing:
            closing.callback(os.close, handle)
            if _locked(handle, file, where):
                if not _is_at(file, handle):  # its holder has removed it since it was opened
                    continue
                _tell(handle)
                closing.pop_all()
                return handle
            holder = _holder(handle)
        if time.monotonic() >= until or (holder is not None and holder.sure_to_stay):
            by = holder or "another process"
            raise InputError(f"{where} is being written by {by}; wait until that ends, or {step}")
        if not said:
            print(f"waiting up to {patience_s:.0f} s for the end of {holder}: it writes {where}", file=sys.stderr)
            said = True
        time.sleep(_POLL_S)


def _opened(file: Path) -> int:
    """A descriptor of the lock file. What another user's killed process left can be locked, if not written."""
    flags = os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(file, os.O_RDWR | os.O_CREAT | flags, 0o666)
    except PermissionError:
        if not os.access(file, os.R_OK):
            raise
        return os.open(file, os.O_RDONLY | flags)


def _locked(handle: int, file: Path, where: str) -> bool:
    """Whether this process has the lock now, or may do without it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        print(
            f"note: the disk of '{file}' has no locks ({error.strerror}): nothing keeps two processes from writing "
            f"{where}; see to it that one does",
            file=sys.stderr,
        )
    return True


def _is_at(file: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(file, follow_symlinks=False), os.fstat(handle))
    except FileNotFoundError:
        return False


def _tell(handle: int) -> None:
    """Write into the lock file who we are. A full disk keeps no lock from being one."""
    holder = Holder(
        pid=os.getpid(),
        host=socket.gethostname(),
        command=one_line(shlex.join(sys.orig_argv), 200),
        since=datetime.datetime.now().astimezone().isoformat(" ", "seconds"),
        launcher=os.getppid() if below_torchrun() else None,
    )
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, holder.model_dump_json().encode(), 0)


def _holder(handle: int) -> Holder | None:
    """Who wrote the lock file; None where it does not tell, as for a moment after it was locked."""
    for _ in range(3):
        try:
            return validated(Holder, parse_json(os.pread(handle, _MOST_BYTES, 0), "lock file"), "lock file")
        except InputError:
            time.sleep(_POLL_S)
    return None


def _release_in_child() -> None:
    """A fork shares its parent's lock, and would keep it when that has ended."""
    for handle in _held.values():
        os.close(handle)
    _held.clear()


os.register_at_fork(after_in_child=_release_in_child)
