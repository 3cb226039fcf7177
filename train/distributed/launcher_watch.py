"""Watches the launcher: a rank that torchrun started and that has lost it ends, as by SIGTERM.

A launcher that is killed cannot end its ranks. Whoever starts the run again would find them writing its folder.
"""

import contextlib
import os
import signal
import sys
import threading
import time

from embeddings.launched_rank import below_torchrun, rank_prefix

_POLL_S = 0.5
_LATE_S = 10.0  # after the grace: for a main thread that stands in an exchange, where no signal is heard

_grace_s = 25.0


def allow(grace_s: float) -> None:
    """Have a rank that lost its launcher save for so long."""
    global _grace_s
    _grace_s = grace_s


def watch_launcher() -> None:
    """Start watching, where torchrun started this process. No other parent is watched: a shell may end before its jobs.

    To be called early: the process that is our parent now is the launcher.
    """
    if below_torchrun():
        threading.Thread(target=_watch, args=(os.getppid(),), name="launcher-watch", daemon=True).start()


def _watch(launcher: int) -> None:
    while os.getppid() == launcher:
        time.sleep(_POLL_S)
    with contextlib.suppress(OSError, ValueError):  # what is said there may have been read by the launcher
        print(
            f"{rank_prefix()}the launcher, process {launcher}, is gone, so this ends too", file=sys.stderr, flush=True
        )
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_grace_s + _LATE_S)
    os._exit(128 + signal.SIGTERM)
