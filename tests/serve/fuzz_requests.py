"""Fuzzed requests against a running scorer: python -m tests.serve.fuzz_requests --cases 10000 --seed 1.

Bytes of whole requests, JSON and Arrow bodies, queries of the page: none may have an answer of 5xx or a line in the
log, what is right is scored to the last bit as it is alone, among them and in between, and the process grows by at most
GROWN_BYTES after the first quarter.
--case runs one alone.
"""

import argparse
import asyncio
import contextlib
import ctypes
import gc
import json
import logging
import os
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pyarrow as pa

from serve.http import guarded_application
from serve.request.media_types import ARROW, JSON
from serve.scorer import Scorer
from tests.fuzz.case import generator
from tests.fuzz.mutate import binary, trees
from tests.fuzz.mutate.texts import as_json
from tests.recsys.exported.artefacts import make_folder
from tests.serve.http.served import BODY, Served, arrow_body, served, stream
from tests.serve.tiny_model import REQUEST, write_version

AT_ONCE = 16
WAIT_S = 0.3  # for an answer: a case may be half a request
EVERY = 500  # cases between two right requests
GROWN_BYTES = 8 << 20  # allowed: what threads and allocators take for the first time, whatever the number of cases
PATHS = ["/", "/v1/score", "/v1/model", "/v1/slow", "/health", "/ready", "/metrics", "/openapi.json", "/page/page.js"]
PAGE = ["/v1/page/about", "/v1/page/items", "/v1/page/nearest", "/v1/page/picture", "/v1/page/traffic"]
KINDS: list[Callable[[], pa.DataType]] = [
    *(pa.null, pa.bool_, pa.int8, pa.uint64, pa.float16, pa.float64, pa.string, pa.large_binary, pa.date32),
    *(lambda: pa.list_(pa.int64()), lambda: pa.large_list(pa.uint64()), lambda: pa.list_(pa.int32(), 2)),
    *(lambda: pa.list_(pa.null()), lambda: pa.list_(pa.list_(pa.int64())), lambda: pa.struct([("a", pa.int64())])),
    *(lambda: pa.dictionary(pa.int8(), pa.int64()), lambda: pa.map_(pa.string(), pa.int64()), pa.string_view),
    *(lambda: pa.list_view(pa.int64()), lambda: pa.run_end_encoded(pa.int32(), pa.int64()), lambda: pa.decimal128(9)),
]


def request(kind: str, body: bytes, path: str = "/v1/score", method: str = "POST") -> bytes:
    """A request that is right but for its body."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode("utf-8", "surrogateescape") + body


def whole(rng: random.Random) -> bytes:
    """Bytes of a request, head and body."""
    right = rng.choice([request(JSON, BODY), request(ARROW, arrow_body())])
    chunked = right.replace(b"Content-Length", b"Transfer-Encoding: chunked\r\nX-Length") + b"0\r\n\r\n"
    head = right.index(b"\r\n\r\n")
    made = binary.mutated(rng.choice([right, chunked]), rng)
    return rng.choice([made, binary.mutated(right[:head], rng) + right[head:], made + right])


def json_bytes(rng: random.Random) -> bytes:
    return request(JSON, binary.mutated(BODY, rng), rng.choice(["/v1/score", "/v1/page/explain"]))


def json_values(rng: random.Random) -> bytes:
    body = as_json(trees.mutated(REQUEST, rng, rng.choice([1, 1, 2, 5])))
    return request(JSON, body, rng.choice(["/v1/score", "/v1/score", "/v1/page/explain"]))


def arrow_bytes(rng: random.Random) -> bytes:
    return request(ARROW, binary.mutated(arrow_body(), rng))


def arrow_types(rng: random.Random) -> bytes:
    """Columns of other types, lengths, names and ways of writing."""
    sides = []
    for rows, columns in ((1, REQUEST["context"]), (3, REQUEST["candidates"])):
        made: dict[str, pa.Array] = {}
        for name, value in columns.items():
            values = [value] if rows == 1 else value
            made[name] = pa.array(values)
            if rng.random() < 0.1:
                count = rng.choice([rows, rows, 0, 2, 4000])
                with contextlib.suppress(pa.ArrowException, TypeError, ValueError):
                    made[name] = rng.choice([pa.nulls(count), pa.array((values * count)[:count])]).cast(
                        rng.choice(KINDS)()
                    )
        longest = max(map(len, made.values()))
        same = {name: _as_long(array, longest) for name, array in made.items()}
        if rng.random() < 0.2:
            same[rng.choice(["x", "", "item", "a\0b", "\u6f22" * 100])] = pa.array(range(longest))
        options = rng.choice([{}, {}, {}, {"compression": "zstd"}, {"use_legacy_format": True}])
        try:
            sides.append(stream(pa.table(same), **options))
        except (pa.ArrowException, NotImplementedError):
            sides.append(stream({"x": [1]}))
    rng.shuffle(sides) if rng.random() < 0.05 else None
    body = b"".join(sides)
    return request(ARROW, binary.mutated(body, rng) if rng.random() < 0.3 else body)


def _as_long(array: pa.Array, rows: int) -> pa.Array:
    if len(array) == rows:
        return array
    try:
        return array.take(pa.array([0] * rows)) if len(array) else pa.nulls(rows, array.type)
    except pa.ArrowException:  # of a type that it cannot take from
        return pa.nulls(rows)


def queries(rng: random.Random) -> bytes:
    """Paths, methods and queries."""
    path = rng.choice([*PATHS, *PAGE, *PAGE])
    words = str(trees.hostile(rng))[:3000]
    safe = rng.choice(["", "/", "/.&=%"])
    name = rng.choice(["id", "ids", "q", "modality=text&id", "modality"])
    made = rng.choice([f"{path}?{name}=", f"{path}/", "/page/", path]) + quote(words, safe, errors="surrogateescape")
    return request("text/plain", b"", made, rng.choice(["GET", "GET", "GET", "HEAD", "POST", "OPTIONS", "PUT"]))


FORMATS = [whole, json_bytes, json_values, arrow_bytes, arrow_types, queries]


def case(seed: int, number: int) -> bytes:
    """The bytes of case ``number``, the same each time."""
    made = FORMATS[number % len(FORMATS)]
    return made(generator(seed, made.__name__, number))


@dataclass
class Outcome:
    """statuses: format, status -> cases, "" where no answer came; failed: what was wrong; grown: bytes beyond warm."""

    statuses: Counter = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    grown: int = 0
    slowest_s: float = 0.0


def resident() -> int:
    """Bytes of this process in memory, without what is freed already."""
    gc.collect()
    with contextlib.suppress(AttributeError):  # of glibc alone
        ctypes.CDLL(None).malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def _ask(server: Served, seed: int, number: int, outcome: Outcome) -> None:
    sent, start = case(seed, number), time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    got = b""
    try:
        writer.write(sent)
        while part := await asyncio.wait_for(reader.read(1 << 20), WAIT_S if not got else 10):
            got += part
    except (ConnectionError, asyncio.TimeoutError):
        pass
    else:
        outcome.slowest_s = max(outcome.slowest_s, time.perf_counter() - start)
    finally:
        writer.transport.abort()
    status = got[9:12].decode() if got.startswith(b"HTTP/") else ""
    outcome.statuses[FORMATS[number % len(FORMATS)].__name__, status] += 1
    if status.startswith("5") or b"Traceback" in got or (got and not status):
        outcome.failed.append(f"case {number}: {got[:500]!r}")


async def _ask_right(server: Served, wanted: bytes, when: str, outcome: Outcome) -> None:
    status, _, body = await server.json()
    if status != 200 or np.array(body["logits"], np.float32).tobytes() != wanted:
        outcome.failed.append(f"{when}, a right request got {status}: {body}")


async def _campaign(scorer: Scorer, seed: int, numbers: range, logged: list[str]) -> Outcome:
    outcome, wanted = Outcome(), scorer.score(**REQUEST).logits.tobytes()
    async with served(scorer, body_bytes=1 << 20, waiting=10 * AT_ONCE, timeout_s=1.0, slow_ms=1e9) as server:
        warm = None
        for first in range(0, len(numbers), EVERY):
            left = iter(enumerate(numbers[first : first + EVERY]))

            async def some(left: Any = left) -> None:
                for place, number in left:
                    await _ask(server, seed, number, outcome)
                    if place % AT_ONCE == 0:
                        await _ask_right(server, wanted, f"beside case {number}", outcome)

            await asyncio.gather(*(some() for _ in range(AT_ONCE)))
            await _ask_right(server, wanted, f"after case {first + EVERY}", outcome)
            if warm is None and first >= len(numbers) // 4:
                warm = resident()
        if warm is not None:
            outcome.grown = resident() - warm
        if outcome.grown > GROWN_BYTES:
            grown, allowed = (f"{size / 2**20:,.1f} MiB" for size in (outcome.grown, GROWN_BYTES))
            outcome.failed.append(f"memory grew by {grown} after the first quarter; allowed: {allowed}")
    outcome.failed += [f"logged: {line}" for line in logged]
    return outcome


def run(folder: Path, seed: int, numbers: range) -> Outcome:
    """Run cases against an application of this process, whose model is made in ``folder``."""
    write_version(folder / "model", make_folder(folder / "data"), seed=1)
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # as a worker does
    logged: list[str] = []
    log, guarded_application.log = guarded_application.log, logged.append
    try:
        return asyncio.run(_campaign(Scorer(folder / "model"), seed, numbers, logged))
    finally:
        guarded_application.log = log


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--case", type=int, help="this number alone, and its bytes")
    given = parser.parse_args()
    if given.case is not None:
        print(case(given.seed, given.case))
    numbers = range(given.cases) if given.case is None else range(given.case, given.case + 1)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="fuzz-requests-") as folder:
        outcome = run(Path(folder), given.seed, numbers)
    for name in FORMATS:
        statuses = {status or "none": n for (of, status), n in sorted(outcome.statuses.items()) if of == name.__name__}
        print(f"{name.__name__:12} {json.dumps(statuses)}")
    print("\n".join(outcome.failed[:20]))
    print(
        f"{len(numbers)} cases, {len(outcome.failed)} failed, {time.perf_counter() - start:.0f} s; "
        f"{outcome.grown / 2**20:+.1f} MiB after the first quarter; slowest answer {outcome.slowest_s:.2f} s"
    )
    return bool(outcome.failed)


if __name__ == "__main__":
    sys.exit(main())
