"""Load on a scorer from native generators: wrk for the most that it answers, hey for latencies at a given rate."""

import csv
import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings.errors import InputError

# Each thread of wrk posts the bodies in turn.
_SCRIPT = """
local bodies, at = {}, 0
for i = 1, %d do
  local file = io.open("%s/" .. i .. ".json", "rb"); bodies[i] = file:read("*a"); file:close()
end
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
request = function() at = at %% #bodies + 1; return wrk.format(nil, nil, nil, bodies[at]) end
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('{"requests": %%d, "us": %%d, "p50_us": %%d, "p99_us": %%d, "status": %%d, "broken": %%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), e.status,
    e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True)
class Load:
    """What a generator saw. ``failed`` counts statuses of 400 and more, and broken connections."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    requests: int
    failed: int


def most(port: int, bodies: list[dict[str, Any]], connections: int, seconds: float) -> Load:
    """As many requests as the scorer answers over so many connections."""
    with tempfile.TemporaryDirectory() as folder:
        for i, body in enumerate(bodies, 1):
            Path(folder, f"{i}.json").write_text(json.dumps(body))
        script = Path(folder, "post.lua")
        script.write_text(_SCRIPT % (len(bodies), folder))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "60s", "--latency"]
        out = _ran([*command, "-s", str(script), f"http://127.0.0.1:{port}/v1/score"])
    found = json.loads(out.strip().splitlines()[-1])
    rate = found["requests"] / found["us"] * 1e6
    failed = found["status"] + found["broken"]
    return Load(round(rate, 1), found["p50_us"] / 1e3, found["p99_us"] / 1e3, found["requests"], failed)


def at_rate(port: int, body: dict[str, Any], requests_per_s: float, connections: int, seconds: float) -> Load:
    """Latencies at a rate."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(json.dumps(body))
        file.flush()
        each = requests_per_s / connections
        command = ["hey", "-z", f"{seconds:g}s", "-c", str(connections), "-q", f"{each:.4f}", "-t", "60", "-m", "POST"]
        url = f"http://127.0.0.1:{port}/v1/score"
        out = _ran([*command, "-T", "application/json", "-D", file.name, "-o", "csv", url])
    rows = list(csv.DictReader(out.splitlines()))
    if not rows:
        raise InputError(f"hey had no answer within {seconds:g} s")
    times = sorted(float(row["response-time"]) * 1e3 for row in rows)
    p50, p99 = (times[min(len(times) - 1, int(q * len(times)))] for q in (0.5, 0.99))
    failed = sum(int(row["status-code"]) != 200 for row in rows)
    return Load(round(len(rows) / seconds, 1), p50, p99, len(rows), failed)


def _ran(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise InputError(f"{command[0]} is not installed; on Debian: apt-get install wrk hey") from None
    if done.returncode:
        raise InputError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done.stdout
