"""Runs actions in forked children that have imported everything already, under limits of time and memory."""

import contextlib
import gc
import importlib
import os
import pkgutil
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import embeddings
import recsys
import serve
import train
from embeddings.errors import InputError
from tests.fuzz.score_in_process import SCORER, score_in_process
from tests.fuzz.watch import watch

SECONDS, BYTES, HARD_BYTES = 30.0, 1 << 30, 2 << 30
TEMPORARY = "tmp"  # folder of a case for temporary files
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Outcome:
    """What a child left.

    status    its exit status, negative: the signal that ended it
    peak      bytes of resident memory at its peak, above those of a child that does nothing
    stopped   "time" or "memory" where a limit ended it, else empty
    out, err  what it said, at most 1 MB each
    noted     what the audit hook noted, a line each
    """

    status: int
    seconds: float
    peak: int
    stopped: str
    out: str
    err: str
    noted: str


def import_everything() -> None:
    """What the commands import when they run, in the parent, so that no child does."""
    import torch

    from recsys.scl.encoders import timm_models, transformers_models

    torch.set_num_threads(1)
    for package in (embeddings, recsys, serve, train):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            with contextlib.suppress(ImportError):  # a library that is not installed, or none of Python
                importlib.import_module(found.name)
    importlib.import_module("torch.utils.tensorboard")
    for libraries in (timm_models._timm, transformers_models._transformers):
        with contextlib.suppress(InputError):  # not installed: then no case can use it
            libraries()
    with contextlib.suppress(ImportError):
        from transformers import AutoConfig, AutoModel, AutoTokenizer, BertModel, BertTokenizerFast  # noqa: F401
    gc.collect()
    gc.freeze()  # a collection in a child would copy every page that it touches


def command(arguments: Sequence[object]) -> Callable[[], int]:
    """``python -m train ARGUMENTS``; ``scorer FOLDER`` scores a request in process."""

    def action() -> int:
        if arguments[0] == SCORER:
            return score_in_process(str(arguments[1]))
        from train import __main__ as program

        sys.argv = ["train", *map(str, arguments)]
        return program.run()

    return action


def run(action: Callable[[], int], folder: Path, *, watched: bool = True, seconds: float = SECONDS) -> Outcome:
    """``action`` in a child whose current folder is ``folder``, and whose status is what it returns."""
    handles = [os.open(folder.parent / f"{folder.name}.{end}", os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC)
               for end in ("out", "err", "noted")]  # fmt: skip
    sys.stdout.flush()
    sys.stderr.flush()
    began, pid = time.monotonic(), os.fork()
    if pid == 0:
        _child(action, folder, handles, watched)
    stopped = _wait(pid, began + seconds)
    _, status, usage = os.wait4(pid, 0)
    took = time.monotonic() - began
    out, err, noted = (_text(handle) for handle in handles)
    peak = max(0, usage.ru_maxrss * 1024 - _baseline())
    return Outcome(os.waitstatus_to_exitcode(status), took, peak, stopped, out, err, noted)


def _text(handle: int) -> str:
    try:
        return os.pread(handle, 1 << 20, 0).decode(errors="replace")
    finally:
        os.close(handle)


def _child(action: Callable[[], int], folder: Path, handles: list[int], watched: bool) -> None:
    status = 1
    try:
        os.setsid()
        os.dup2(handles[0], 1)
        os.dup2(handles[1], 2)
        sys.stdout, sys.stderr = (open(n, "w", buffering=1, errors="backslashreplace", closefd=False) for n in (1, 2))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.chdir(folder)
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder / TEMPORARY)  # where the verdict sees what is left
        os.environ["HF_HOME"] = str(folder / TEMPORARY)
        if watched:
            watch(folder, handles[2])
        status = action()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        traceback.print_exc()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _wait(pid: int, until: float) -> str:
    """Wait for the end of a child, and end it at a limit; which one."""
    handle = os.pidfd_open(pid)
    limit = HARD_BYTES + _baseline()
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        while not poll.poll(20):
            why = "time" if time.monotonic() > until else "memory" if _resident(pid) > limit else ""
            if why:
                os.killpg(pid, signal.SIGKILL)
                return why
    finally:
        os.close(handle)
    return ""


def _resident(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm") as f:
            return int(f.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


_BASELINE: list[int] = []


def _baseline() -> int:
    """Peak resident memory of a child that does nothing, in bytes."""
    if not _BASELINE:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        _BASELINE.append(os.wait4(pid, 0)[2].ru_maxrss * 1024)
    return _BASELINE[0]
