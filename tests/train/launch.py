"""Starts commands for tests: in this process, in one of their own, or on ranks with and without a launcher."""

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from train import __main__ as main

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Done:
    """What a command left: exit status, standard output, standard error."""

    status: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """Lines of standard error, without the progress lines."""
        return [line for line in self.err.splitlines() if line.strip() and "examples/s" not in line]


def cli(*arguments: object) -> Done:
    """``python -m train ARGUMENTS`` in this process, which has imported torch already."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["train", *map(str, arguments)])
        try:
            status = main.run()
        except SystemExit as end:
            status = int(end.code or 0)
    return Done(status, out.getvalue(), err.getvalue())


def one_line(done: Done, *parts: str, status: int = 2) -> None:
    """Assert that the command failed with ``status`` and one line, which holds every one of ``parts``."""
    assert done.status == status, done
    assert len(done.errors) == 1 and "Traceback" not in done.err, done.err
    for part in parts:
        assert part in done.err


def start(*arguments: object, module: str = "train", **environment: object) -> subprocess.Popen:
    """``python -m train ARGUMENTS`` in a process of its own, with text pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **{key: str(value) for key, value in environment.items()}},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_bare_ranks(ranks: int, *arguments: object, module: str = "train") -> list[subprocess.Popen]:
    """Ranks that nothing watches: only the environment that a launcher would set."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    shared = {"WORLD_SIZE": ranks, "LOCAL_WORLD_SIZE": ranks, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [start(*arguments, module=module, RANK=r, LOCAL_RANK=r, **shared) for r in range(ranks)]


def start_launched_ranks(
    ranks: int, *arguments: object, module: str = "train", options: Sequence[str] = (), **environment: object
) -> subprocess.Popen:
    """Ranks under torch's launcher, which takes ``options`` of its own."""
    launcher = ["--standalone", f"--nproc-per-node={ranks}", *options, "-m", module, *arguments]
    return start(*launcher, module="torch.distributed.run", **environment)


def ranks_of(launcher: subprocess.Popen) -> list[int]:
    """Process ids of the launcher's two ranks, by rank."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(launcher.pid)], capture_output=True, text=True)
    pids = {}
    for pid in map(int, listed.stdout.split()):
        variables = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
        pids[next(v for v in variables if v.startswith("RANK="))] = pid
    return [pids[f"RANK={r}"] for r in range(2)]


def finished(process: subprocess.Popen, timeout_s: float = 120) -> Done:
    """Wait for the end; a process that does not end is killed and fails the test."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        pytest.fail(f"still running after {timeout_s} s:\n{out[-2000:]}\n{err[-4000:]}")
    return Done(process.returncode, out, err)


def wait_for_step(run: Path, step: int, process: subprocess.Popen, timeout_s: float = 120) -> None:
    """Return as soon as the run has logged ``step``."""
    until = time.monotonic() + timeout_s
    while not any(row["step"] >= step for row in rows(run)):
        if process.poll() is not None or time.monotonic() > until:
            process.send_signal(signal.SIGKILL) if process.poll() is None else None
            pytest.fail(f"no step {step} in {run}: {process.communicate()[1][-4000:]}")
        time.sleep(0.02)


def rows(run: Path, kind: str = "train") -> list[dict[str, Any]]:
    """The whole rows of a run's metrics.jsonl so far."""
    path = run / "metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


def about(run: Path) -> dict[str, Any]:
    """A run's run.json."""
    return json.loads((run / "run.json").read_text())
