"""A process of the live index's benchmark: writes at a rate, looks up in bulk, runs SimTier or reads all vectors.

write|read|simtier|touch  index|lmdb|redis  PLACE  ...
"""

import json
import sys
import time
from collections.abc import Callable

import numpy as np

from benchmarks.live.index_load import all_ids, steady

LOOKED_UP = 8192  # ids at once
WRITTEN = 500
_PIPELINE = 10_000


def say(**found: float) -> None:
    """Print a line of JSON."""
    print(json.dumps(found), flush=True)


def write(kind: str, place: str, count: int, width: int, rate: int, seconds: float) -> None:
    """Write vectors at ``rate``, half of them under new ids; of Redis at rate 0, all ids, once."""
    ids, draw = all_ids(count), np.random.default_rng(2)
    pool = draw.standard_normal((WRITTEN * 16, width), np.float32)
    if kind == "redis":
        import redis

        client = redis.Redis(unix_socket_path=place)

        def put(some: np.ndarray, vectors: np.ndarray) -> None:
            pipe = client.pipeline(transaction=False)
            half = vectors.astype(np.float16)
            pipe.mset({key: row.tobytes() for key, row in zip(_keys(some), half, strict=True)})
            pipe.execute()

        if not rate:
            for first in range(0, count, _PIPELINE):
                part = ids[first : first + _PIPELINE]
                put(part, np.resize(pool, (part.size, width)))
            say(filled=count)
            return
    else:
        from embeddings.index.index_writer import IndexWriter

        writer = IndexWriter(place)

        def put(some: np.ndarray, vectors: np.ndarray) -> None:
            writer.put(some, vectors)

    say(ready=1)
    sys.stdin.readline()
    start, times, done = time.perf_counter(), [], 0
    for number in steady(rate, WRITTEN, seconds):
        some = draw.choice(ids, WRITTEN // 2, replace=False)
        new = draw.integers(-(2**63), 2**63 - 1, WRITTEN - some.size)
        begun = time.perf_counter()
        put(np.concatenate([some, new]), pool[WRITTEN * (number % 16) :][:WRITTEN])
        times.append(time.perf_counter() - begun)
        done += WRITTEN
    elapsed = time.perf_counter() - start
    say(written_per_s=done / elapsed, put_p99_ms=1e3 * float(np.quantile(times, 0.99)))


def read(kind: str, place: str, count: int, seconds: float) -> None:
    """Look up random ids, LOOKED_UP at once."""
    find = _finder(kind, place)
    draw = np.random.default_rng(time.time_ns())
    batches = [draw.choice(all_ids(count), LOOKED_UP) for _ in range(64)]
    find(batches[0])
    say(ready=1)
    sys.stdin.readline()
    start, number = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        find(batches[number % len(batches)])
        number += 1
    say(ids_per_s=number * LOOKED_UP / (time.perf_counter() - start))


def _keys(ids: np.ndarray) -> list[bytes]:
    raw = ids.tobytes()
    return [raw[at : at + 8] for at in range(0, len(raw), 8)]


def _finder(kind: str, place: str) -> Callable[[np.ndarray], object]:
    """What finds ids: the index their rows, LMDB alone their entries, Redis their vectors, which it has to send."""
    if kind == "index":
        from embeddings.index.live_index import LiveIndex

        return LiveIndex(place).rows
    if kind == "lmdb":
        from embeddings.index.key_layout import id_keys
        from embeddings.index.key_store import KeyStore

        environment = KeyStore(place).environment

        def entries(ids: np.ndarray) -> object:
            with environment.begin(buffers=True) as txn:
                return txn.cursor().getmulti(id_keys(1, ids))

        return entries
    import redis

    client = redis.Redis(unix_socket_path=place)
    return lambda ids: client.mget(_keys(ids))


def simtier(path: str, store: str, count: int) -> None:
    """SimTier of 256 targets with 200 behaviours each, look-ups of ids among it, through the index and the store."""
    import torch

    from embeddings.frozen.frozen_rows import FrozenRows
    from embeddings.frozen.store import FrozenStore
    from embeddings.frozen.table import FrozenTable
    from embeddings.frozen.vector_store import VectorStore
    from embeddings.index.live_index import LiveIndex

    draw = np.random.default_rng(3)
    places: dict[str, VectorStore] = {"index": LiveIndex(path), "store": FrozenStore.open(store)}
    tables = {name: FrozenTable(of) for name, of in places.items()}
    target, history = draw.choice(all_ids(count), 256), draw.choice(all_ids(count), 256 * 200)
    offsets = torch.arange(0, 256 * 200 + 1, 200)

    def rows_of(name: str) -> FrozenRows:
        found = [torch.from_numpy(places[name].rows(ids)) for ids in (target, history)]
        return FrozenRows(found[0], found[1], offsets)

    looked_up = {name: rows_of(name) for name in places}
    counts = {name: tables[name].tier_counts(looked_up[name], 20) for name in places}
    assert torch.equal(counts["index"], counts["store"])
    times: dict[str, list[float]] = {f"{name}_{what}": [] for name in places for what in ("kernel", "whole")}
    for _ in range(100):
        for name in places:
            begun = time.perf_counter()
            rows = rows_of(name)
            middle = time.perf_counter()
            tables[name].tier_counts(rows, 20)
            end = time.perf_counter()
            times[f"{name}_kernel"].append(end - middle)
            times[f"{name}_whole"].append(end - begun)
    medians = {f"{name}_us": round(1e6 * float(np.median(found[10:])), 1) for name, found in times.items()}
    for what in ("kernel", "whole"):
        medians[f"{what}_as_fast"] = round(medians[f"store_{what}_us"] / medians[f"index_{what}_us"], 3)
    say(**medians)


def touch(path: str, count: int) -> None:
    """Read every vector, and stay."""
    from embeddings.index.live_index import LiveIndex

    index = LiveIndex(path)
    rows = index.rows(all_ids(count))
    total = sum(float(index.vectors[rows[at : at + 4096], 0].sum()) for at in range(0, rows.size, 4096))
    say(total=total)
    sys.stdin.readline()


if __name__ == "__main__":
    what, kind, *given = sys.argv[1:]
    if what == "write":
        write(kind, given[0], int(given[1]), int(given[2]), int(given[3]), float(given[4]))
    elif what == "read":
        read(kind, given[0], int(given[1]), float(given[2]))
    elif what == "simtier":
        simtier(given[0], given[1], int(given[2]))
    else:
        touch(given[0], int(given[1]))
