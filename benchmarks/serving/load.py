"""Load on a scorer from wrk: as much as it answers, or requests at planned times, each with its latency."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from embeddings.errors import InputError

CONNECTIONS = 32  # over which requests are planned: so many that their split over the processes is nearly even
IDLE_S = 5.0  # that a connection may idle between requests; a server closes one at some time
_SCRIPTS = Path(__file__).parent


@dataclass(frozen=True)
class Load:
    """What a generator saw. ``failed`` counts statuses of 400 and more, and broken connections."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    requests: int
    failed: int


@dataclass(frozen=True)
class Paced:
    """Requests at planned times.

    due       [R]  when they were to be sent, seconds of ``time.monotonic``
    seconds   [R]  from then until the answer
    statuses  [R]  0: the connection broke
    """

    due: np.ndarray
    seconds: np.ndarray
    statuses: np.ndarray

    @property
    def failed(self) -> int:
        """Requests without an answer of status 200."""
        return int((self.statuses != 200).sum())

    def within(self, windows: Sequence[tuple[float, float]]) -> "Paced":
        """Those that were under way at some time of one of the ``windows``, each from and until."""
        chosen = np.zeros(self.due.size, bool)
        for begin, end in windows:
            chosen |= (self.due <= end) & (self.due + self.seconds >= begin)
        return Paced(self.due[chosen], self.seconds[chosen], self.statuses[chosen])

    def percentile_ms(self, percent: float) -> float:
        """Of the latencies of requests that were answered; 0 where none was."""
        answered = self.seconds[self.statuses == 200]
        return round(float(np.percentile(answered, percent)) * 1e3, 3) if answered.size else 0.0

    def load(self) -> Load:
        """The same in figures."""
        span = float(np.ptp(self.due)) if self.due.size else 0.0
        rate = round(self.due.size / span, 1) if span else 0.0
        return Load(rate, self.percentile_ms(50), self.percentile_ms(99), self.due.size, self.failed)


def most(port: int, bodies: list[dict[str, Any]], connections: int, seconds: float) -> Load:
    """As many requests as are answered over so many connections; GET where there are no ``bodies``."""
    with tempfile.TemporaryDirectory() as folder:
        out = _wrk("wrk_most.lua", 1, connections, seconds, port, bodies, folder)
    found = json.loads(out.strip().splitlines()[-1])
    rate = found["requests"] / found["us"] * 1e6
    failed = found["status"] + found["broken"]
    return Load(round(rate, 1), found["p50_us"] / 1e3, found["p99_us"] / 1e3, found["requests"], failed)


def paced(
    port: int, bodies: list[dict[str, Any]], requests_per_s: float, seconds: float, arrivals: str = "even"
) -> Paced:
    """Requests at planned times.

    Args:
        arrivals: even: each connection sends at equal intervals, which begin at random; random: a Poisson process.
            There are CONNECTIONS or, so that none idles for long, fewer.
    """
    connections = max(1, min(CONNECTIONS, int(requests_per_s * IDLE_S)))
    gap = connections / requests_per_s
    with tempfile.TemporaryDirectory() as folder:
        _wrk("wrk_paced.lua", connections, connections, seconds, port, bodies, folder, f"{gap:.6f}", arrivals)
        lines = [line.split() for path in Path(folder).glob("*.times") for line in path.read_text().splitlines()]
    if not lines:
        raise InputError(f"no request was answered within {seconds:g} s; measure longer")
    due, latencies, statuses = np.array(lines, np.float64)[np.argsort([float(line[0]) for line in lines])].T
    return Paced(due, latencies, statuses.astype(np.int64))


def _wrk(
    script: str, threads: int, connections: int, seconds: float, port: int, bodies: list, folder: str, *words: str
) -> str:
    for i, body in enumerate(bodies, 1):
        Path(folder, f"{i}.json").write_text(json.dumps(body))
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "60s"]
    command += ["--latency", "-s", str(_SCRIPTS / script), f"http://127.0.0.1:{port}/v1/score"]
    try:
        done = subprocess.run([*command, "--", folder, str(len(bodies)), *words], capture_output=True, text=True)
    except FileNotFoundError:
        raise InputError("wrk is not installed; on Debian: apt-get install wrk") from None
    if done.returncode:
        raise InputError(f"wrk ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout
