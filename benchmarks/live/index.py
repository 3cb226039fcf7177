"""The live index beside LMDB alone and Redis: bulk look-ups under writes, SimTier through it, memory of N readers."""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ROOT
from benchmarks.harness import append, measurement, ratios, show
from benchmarks.live.index_load import all_ids
from benchmarks.live.redis_server import redis_server
from embeddings.errors import InputError, shown
from embeddings.index.create_index import create_index
from embeddings.index.live_index import LiveIndex
from embeddings.index.snapshot import write_snapshot

ENCODER = "benchmark"
_PUT_AT_ONCE = 1 << 14


def measure(
    folder: Path, ids: int, width: int, rate: int, readers: int, seconds: float, repeats: int, results: Path
) -> None:
    """A row of look-ups, one of SimTier and one of memory."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = folder / "index"
    _fill(path, ids, width)
    common = {"case": "index", "ids": ids, "width": width, "dtype": "float16"}
    with redis_server(folder / "redis") as socket:
        places = {"index": str(path), "lmdb": str(path), **({"redis": socket} if socket else {})}
        speeds: dict[str, list[dict[str, Any]]] = {name: [] for name in places}
        if socket:
            _one("write", "redis", socket, str(ids), str(width), "0", "0")  # fills it
        for _ in range(repeats):
            for name, place in places.items():
                speeds[name].append(_under_writes(name, place, ids, width, rate, readers, seconds))
    contenders = {
        name: measurement(
            [found["ids_per_s"] for found in rounds],
            written_per_s=round(float(np.median([found["written_per_s"] for found in rounds]))),
            put_p99_ms=round(float(np.median([found["put_p99_ms"] for found in rounds])), 1),
        )
        for name, rounds in speeds.items()
    }
    row = {**common, "what": "look-ups", "readers": readers, "rate": rate, "contenders": contenders}
    show(append("live", {**row, "index_over": ratios(contenders, "index")}, results))
    _snapshot(str(path), str(folder / "store"))
    found = _one("simtier", "index", str(path), str(folder / "store"), str(ids))
    show(append("live", {**common, "what": "simtier", **found}, results))
    memory = [_memory(str(path), ids, count) for count in (1, 2, 4)]
    show(append("live", {**common, "what": "memory", "vectors_bytes": ids * width * 2, "pss": memory}, results))


def _snapshot(path: str, store: str) -> None:
    """In a frame of its own: what maps the vectors afterwards is counted."""
    with LiveIndex(path) as index:
        write_snapshot(index, store, overwrite=True)


def _fill(path: Path, count: int, width: int) -> None:
    ids, draw = all_ids(count), np.random.default_rng(1)
    with create_index(str(path), ENCODER, width, "float16") as writer:
        for first in range(0, count, _PUT_AT_ONCE):
            part = ids[first : first + _PUT_AT_ONCE]
            writer.put(part, draw.standard_normal((part.size, width), np.float32))


def _under_writes(
    kind: str, place: str, ids: int, width: int, rate: int, readers: int, seconds: float
) -> dict[str, float]:
    """Ids a second of all readers together, while one process writes."""
    arguments = [str(ids), str(width)]
    with contextlib.ExitStack() as running:
        writer = running.enter_context(_process("write", kind, place, *arguments, str(rate), str(seconds + 2)))
        looking = [running.enter_context(_process("read", kind, place, str(ids), str(seconds))) for _ in range(readers)]
        for process in (writer, *looking):
            _line(process)  # it is ready
        for process in (writer, *looking):
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        found = [_line(process) for process in looking]
        written = _line(writer)
    return {"ids_per_s": sum(one["ids_per_s"] for one in found), **written}


def _memory(path: str, ids: int, count: int) -> dict[str, int]:
    """Proportional set size of ``count`` readers together, once all have read all vectors."""
    with contextlib.ExitStack() as running:
        processes = [running.enter_context(_process("touch", "index", path, str(ids))) for _ in range(count)]
        for process in processes:
            _line(process)
        found = [_pss(process.pid) for process in processes]
        for process in processes:
            process.communicate("end\n")
    whole, vectors = (sum(part) for part in zip(*found, strict=True))
    return {"readers": count, "bytes": whole, "vectors_bytes": vectors}


def _pss(pid: int) -> tuple[int, int]:
    """Proportional set size of a process, and of the segments that it has mapped, bytes."""
    whole = vectors = 0
    inside = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if line.startswith("Pss:"):
            size = int(line.split()[1]) * 1024
            whole, vectors = whole + size, vectors + (size if inside else 0)
        elif "-" in line.split(maxsplit=1)[0]:  # a mapping's first line
            inside = line.endswith(".vectors")
    return whole, vectors


def _one(*arguments: str) -> dict[str, Any]:
    with _process(*arguments) as process:
        return _line(process)


@contextlib.contextmanager
def _process(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "benchmarks.live.index_process", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()


def _line(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise InputError(f"{shown(process.args)}: it ended without a result")
    return json.loads(line)
