"""A rank of benchmarks.frozen's host case: the memory that it holds after it has read every vector of a store, and the
time of SimTier on random rows."""

import statistics
import time
from pathlib import Path

import torch
import torch.distributed as dist

from benchmarks.ranks import read_job, write_result
from embeddings.frozen.frozen_rows import FrozenRows
from embeddings.frozen.store import FrozenStore
from embeddings.frozen.table import FrozenTable

BLOCK = 1 << 20
TARGETS, LENGTH, TIERS, STEPS = 1024, 200, 20, 25


def mapped_bytes(smaps: str, file: str = "") -> dict[str, int]:
    """Bytes of the mappings in the text of /proc/PID/smaps: resident (RSS), and in proportional set size (PSS).

    ``file`` ends the name of the mappings that count; all count where it is empty.
    """
    sums, counts = {"Rss": 0, "Pss": 0}, False
    for line in smaps.splitlines():
        key, _, rest = line.partition(":")
        if "-" in key.split(" ")[0]:  # the first line of a mapping: addresses, rights, ..., name
            counts = line.endswith(file)
        elif counts and key in sums:
            sums[key] += int(rest.split()[0]) * 1024
    return {"resident_bytes": sums["Rss"], "proportional_bytes": sums["Pss"]}


def step_ms(table: FrozenTable, count: int, seed: int) -> float:
    """Median milliseconds of SimTier on rows drawn anew for each step, all ranks at the same time."""
    draw = torch.Generator().manual_seed(seed)
    times = []
    for _ in range(STEPS):
        target, history = (torch.randint(0, count, (n,), generator=draw) for n in (TARGETS, TARGETS * LENGTH))
        rows = FrozenRows(target, history, torch.arange(TARGETS + 1) * LENGTH)
        start = time.perf_counter()
        table.tier_counts(rows, TIERS)
        times.append(time.perf_counter() - start)
    return round(statistics.median(times) * 1e3, 2)


def main() -> None:
    job = read_job()
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    ranks = dist.get_world_size()
    before = mapped_bytes(Path("/proc/self/smaps").read_text())
    store = FrozenStore.open(job["store"])
    table = FrozenTable(store, placement=job["placement"])
    for start in range(0, store.count, BLOCK):  # as a step does: the kernel reads each row
        rows = torch.arange(start, min(start + BLOCK, store.count))
        counts = table.tier_counts(FrozenRows(rows[:1], rows, torch.tensor([0, rows.numel()])), TIERS)
        assert int(counts.sum()) == rows.numel()
    dist.barrier()  # every rank has read everything, and still holds it
    smaps = Path("/proc/self/smaps").read_text()
    whole, vectors = mapped_bytes(smaps), mapped_bytes(smaps, "/vectors.npy")
    measured = {
        "grown_proportional_bytes": whole["proportional_bytes"] - before["proportional_bytes"],
        "grown_resident_bytes": whole["resident_bytes"] - before["resident_bytes"],
        "map": vectors,
        "step_ms": step_ms(table, store.count, dist.get_rank()),
    }
    every: list = [None] * ranks
    dist.all_gather_object(every, measured)
    dist.barrier()
    if dist.get_rank() == 0:
        write_result(every)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
