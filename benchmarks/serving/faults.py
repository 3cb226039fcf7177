"""Faults under load: a worker is killed, versions come damaged or half written, the disk is full."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness import record
from benchmarks.serving.clients import Loading
from benchmarks.serving.load import Load, most
from benchmarks.serving.market import build_model, request
from benchmarks.serving.publish import copied, cut, damage, publish, publish_spoilt
from benchmarks.serving.scorer_process import ScorerProcess, post, serving, until
from embeddings.errors import InputError
from recsys.exported.version_manifest import READY
from recsys.exported.versions import CURRENT, Versions

PORT = 18_630
RATE = 0.35  # of the most that the scorer answers: one worker of two can do it alone
KILLS = 3
PAUSE_S = 2.0
SOON_S = 60.0  # within which a worker is back, and a version is taken or refused
DISK = "256k"
_REFUSALS = "tierwise_version_refusals_total"


def measure(folder: Path, processes: int, seconds: float, results: Path) -> None:
    """A row a fault. Raises InputError where more fails than what the fault itself cuts off."""
    model = Path(build_model(folder))
    bodies = [request(100, 50, seed) for seed in range(20)]
    about = {"case": "faults", "processes": processes}
    for fault in (_killed, _spoilt, _full):
        found = fault(model, bodies, processes, seconds)
        if found is not None:
            wrong = f"{found['fault']}: {found['failed']} requests failed, and {found['cut_off']} may"
            record("serving", about | found, results, wrong if found["failed"] > found["cut_off"] else "")


def _loading(bodies: list[dict[str, Any]], processes: int, seconds: float) -> Loading:
    return Loading(PORT, bodies, most(PORT, bodies, 4 * processes, 3).requests_per_s * RATE, seconds)


def _killed(model: Path, bodies: list[dict[str, Any]], processes: int, seconds: float) -> dict[str, Any]:
    """kill -9 of a worker: no more fails than a request on each of its connections."""
    back_s, connected = [], 0
    with serving("ours", str(model), PORT, processes) as scorer:
        with _loading(bodies, processes, seconds + KILLS * 10) as loading:
            time.sleep(PAUSE_S)
            for _ in range(KILLS):
                cut, after_s = _kill(scorer)
                connected += cut
                back_s.append(after_s)
                time.sleep(PAUSE_S)
        loaded = loading.paced
    broken = int((loaded.statuses == 0).sum())
    return {
        "fault": "a worker is killed",
        "times": KILLS,
        **_figures(loaded.load()),
        "cut_off": min(broken, connected),
        "connections": connected,
        "back_s": back_s,
    }


def _kill(scorer: ScorerProcess) -> tuple[int, float]:
    """Kill the worker that has most connections; their number, and seconds until another listens in its place."""
    victim = max(scorer.workers(), key=scorer.connections)
    connected = scorer.connections(victim)
    before = scorer.workers()
    os.kill(victim, signal.SIGKILL)
    back_s = until(
        lambda: any(scorer.listens(pid) for pid in scorer.workers() if pid not in before),
        SOON_S,
        "no worker came in the place of a killed one",
    )
    return connected, round(back_s, 1)


def _spoilt(model: Path, bodies: list[dict[str, Any]], processes: int, seconds: float) -> dict[str, Any]:
    """Versions of which each is refused, then a whole one, which is taken."""
    versions = copied(model, model.parent / "spoilt")
    source = model / versions.current()
    with serving("ours", str(versions.root), PORT, processes) as scorer:
        before, refused = post(PORT, bodies[0])["version"], []
        with _loading(bodies, processes, seconds + 20) as loading:
            for spoil in (damage, cut, _without_ready, None):
                refused.append(_refused(scorer, source, versions, spoil, before))
            whole = publish(source, versions)
            taken_s = until(lambda: scorer.scores_by(whole), SOON_S, f"version {whole} was not taken")
        loaded = loading.paced
    return {
        "fault": "a version is spoilt",
        "times": sum(refused),
        **_figures(loaded.load()),
        "cut_off": 0,
        "taken_s": round(taken_s, 1),
    }


def _refused(
    scorer: ScorerProcess, source: Path, versions: Versions, spoil: Callable[[Path], None] | None, before: str
) -> bool:
    """Publish a version that is spoilt, or current.json half written; raises InputError where it is not refused."""
    refusals = scorer.count(_REFUSALS)
    if spoil is None:
        current = versions.root / CURRENT
        current.write_bytes(current.read_bytes()[:20])
    else:
        publish_spoilt(source, versions, spoil)
    until(lambda: scorer.count(_REFUSALS) > refusals, SOON_S, "a spoilt version was not refused")
    if not scorer.scores_by(before):
        raise InputError("a worker took a spoilt version")
    return True


def _without_ready(folder: Path) -> None:
    (folder / READY).unlink()


def _full(model: Path, bodies: list[dict[str, Any]], processes: int, seconds: float) -> dict[str, Any] | None:
    """The disk with the scorer's log and temporary files is full, and a worker is killed then; None: no disk for it."""
    with _small_disk() as disk:
        if disk is None:
            return None
        with serving("ours", str(model), PORT, processes, slow_ms=0, folder=disk) as scorer:
            with _loading(bodies, processes, seconds + 20) as loading:
                (disk / "filler").write_bytes(b"")
                with contextlib.suppress(OSError), open(disk / "filler", "ab", buffering=0) as filler:
                    while filler.write(b"x" * 4096) == 4096:
                        pass
                time.sleep(PAUSE_S)
                connected, back_s = _kill(scorer)
                free = os.statvfs(disk).f_bavail
            loaded = loading.paced
    if free:
        raise InputError("the disk was not full; measure longer")
    return {
        "fault": "the disk is full",
        "times": 1,
        **_figures(loaded.load()),
        "cut_off": min(int((loaded.statuses == 0).sum()), connected),
        "connections": connected,
        "back_s": [back_s],
    }


@contextlib.contextmanager
def _small_disk() -> Iterator[Path | None]:
    with tempfile.TemporaryDirectory() as folder:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "none", folder]
        done = subprocess.run(mount, capture_output=True, text=True)
        if done.returncode:
            print(f"a full disk is not tried: {done.stderr.strip()}", file=sys.stderr)
            yield None
            return
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def _figures(load: Load) -> dict[str, Any]:
    return {"requests": load.requests, "failed": load.failed, "p50_ms": load.p50_ms, "p99_ms": load.p99_ms}
