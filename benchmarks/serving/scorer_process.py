"""A scorer in processes of its own: started, asked, its workers and their memory, what it counts."""

import contextlib
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from embeddings.errors import InputError
from serve.client import ask

START_S = 300  # torch.compile takes minutes
_LISTEN, _ESTABLISHED = "0A", "01"  # states in /proc/net/tcp


@dataclass(frozen=True)
class ScorerProcess:
    """A scorer that answers at http://127.0.0.1:``port``.

    pid      of the supervisor
    begun    when it was started, seconds of ``time.monotonic``
    start_s  from then until it was ready
    log      file with what it says on standard error
    """

    port: int
    pid: int
    begun: float
    start_s: float
    log: Path

    def workers(self) -> list[int]:
        """Processes that score, oldest first."""
        children = Path(f"/proc/{self.pid}/task").glob("*/children")
        pids = sorted(int(pid) for path in children for pid in path.read_text().split())
        return [pid for pid in pids if b"spawn_main" in _read(f"/proc/{pid}/cmdline")]

    def connections(self, pid: int) -> int:
        """Clients that are connected to a worker."""
        return self._sockets(pid).count(_ESTABLISHED)

    def listens(self, pid: int) -> bool:
        """Whether a worker takes connections."""
        return _LISTEN in self._sockets(pid)

    def _sockets(self, pid: int) -> list[str]:
        """States of a worker's sockets on the port."""
        held = set()
        with contextlib.suppress(OSError):  # it has ended
            for file in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):  # it was closed
                    held.add(os.readlink(file))
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        on_port = [row for row in rows if row[1].endswith(f":{self.port:04X}")]
        return [row[3] for row in on_port if f"socket:[{row[9]}]" in held]

    def count(self, name: str) -> float:
        """The metric ``name``, summed over its labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=START_S) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def scores_by(self, version: str) -> bool:
        """Whether all workers have taken ``version``."""
        return self.count("tierwise_version") == self.count("tierwise_oldest_version") == int(version)


@contextlib.contextmanager
def serving(
    name: str, model: str, port: int, processes: int, slow_ms: float = 1e9, folder: Path | None = None
) -> Iterator[ScorerProcess]:
    """A contender (``contender.py``) that answers at http://127.0.0.1:``port`` inside the block.

    Args:
        slow_ms: as in ``serve.http.settings``.
        folder: for its log and its temporary files; None: one that goes with the block.

    Raises InputError where it does not serve.
    """
    words = ["-m", "benchmarks.serving.contender", name, model, str(port), str(processes), str(slow_ms)]
    with tempfile.TemporaryDirectory() as own:
        log = (folder or Path(own)) / "log"
        environment = os.environ | ({"TMPDIR": str(folder)} if folder else {})
        begun = time.monotonic()
        with open(log, "w") as said:
            process = subprocess.Popen(
                [sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=said, env=environment
            )
        try:
            until(lambda: process.poll() is not None or _answers(port), START_S, f"{name} did not serve")
            if process.poll() is not None:
                raise InputError(f"{name} ended with {process.returncode}: {log.read_text()[-300:]}")
            yield ScorerProcess(port, process.pid, begun, time.monotonic() - begun, log)
        finally:
            process.terminate()
            process.wait()


def until(true: Callable[[], bool], seconds: float, otherwise: str) -> float:
    """Wait for it; how long it took. Raises InputError, ``otherwise`` and the seconds, where it takes longer."""
    begun = time.monotonic()
    while not true():
        if time.monotonic() - begun > seconds:
            raise InputError(f"{otherwise} within {seconds:g} s")
        time.sleep(0.05)
    return time.monotonic() - begun


def post(port: int, body: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to one request as JSON."""
    status, answer = ask(f"http://127.0.0.1:{port}/v1/score", body, timeout_s=START_S)
    if status != 200:
        raise InputError(f"the scorer answered {status}: {answer.get('error')}")
    return answer


def memory(pids: list[int], mapped: Path) -> dict[str, int]:
    """Bytes of processes together, a shared page counted once: all, anonymous, and of files below ``mapped``."""
    found = {"pss_bytes": 0, "anonymous_bytes": 0, "mapped_bytes": 0}
    for pid in pids:
        below = False
        for line in _read(f"/proc/{pid}/smaps").decode().splitlines():
            words = line.split()
            if not words[0].endswith(":"):  # a mapping begins
                below = len(words) > 5 and words[5].startswith(f"{mapped}/")
            elif words[0] == "Pss:":
                found["pss_bytes"] += int(words[1]) << 10
                found["mapped_bytes"] += (int(words[1]) << 10) * below
            elif words[0] == "Anonymous:":
                found["anonymous_bytes"] += int(words[1]) << 10
    return found


def _read(path: str) -> bytes:
    """A file of a process; nothing where that has ended."""
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _answers(port: int) -> bool:
    try:
        return ask(f"http://127.0.0.1:{port}/ready", timeout_s=1)[0] == 200
    except InputError:
        return False
