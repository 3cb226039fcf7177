"""A rank whose launcher is killed ends as by SIGTERM; a process that no launcher started outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import ROOT

RANK = """
import os, signal, sys, time
from train.distributed import launcher_watch
from train.distributed.signals import signals_as_interrupt
launcher_watch.allow(0)
launcher_watch._LATE_S = 0.5
with signals_as_interrupt() as ended:
    launcher_watch.watch_launcher()
    try:
        print(os.getpid(), flush=True)
        if "deaf" in sys.argv:
            signal.signal(signal.SIGTERM, lambda *_: None)
        while not os.path.exists(sys.argv[1] + ".stop"):
            time.sleep(0.1)
    except KeyboardInterrupt:
        open(sys.argv[1], "w").write(ended.by.name)
"""
LAUNCH = "import subprocess, sys; subprocess.run([sys.executable, '-c', *sys.argv[1:]])"


def orphan(file: Path, *words: str, **environment: str) -> int:
    """A process whose parent was killed: its id."""
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, RANK, str(file), *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert launcher.stdout is not None
    pid = int(launcher.stdout.readline())
    launcher.kill()
    launcher.wait()
    launcher.stdout.close()
    return pid


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def becomes(true: Callable[[], bool]) -> bool:
    until = time.monotonic() + 60
    while not true() and time.monotonic() < until:
        time.sleep(0.05)
    return true()


def test_a_rank_that_lost_its_launcher_ends_as_by_sigterm(tmp_path):
    pid = orphan(tmp_path / "said", TORCHELASTIC_RUN_ID="1")
    assert becomes(lambda: not running(pid)) and (tmp_path / "said").read_text() == "SIGTERM"


def test_one_that_hears_no_signal_is_ended(tmp_path):
    pid = orphan(tmp_path / "said", "deaf", TORCHELASTIC_RUN_ID="1")
    assert becomes(lambda: not running(pid)) and not (tmp_path / "said").exists()


def test_a_process_that_no_launcher_started_goes_on(tmp_path):
    pid = orphan(tmp_path / "said")
    time.sleep(1.5)  # a watch would have seen it
    assert running(pid) and not (tmp_path / "said").exists()
    os.kill(pid, signal.SIGTERM)
    assert becomes((tmp_path / "said").exists)
