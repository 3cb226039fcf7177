"""One rank of benchmarks.frozen's host case: reads every vector of a store, then says what this process holds."""

import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from embeddings.frozen.rows import FrozenRows
from embeddings.frozen.store import FrozenStore
from embeddings.frozen.table import FrozenTable

BLOCK = 1 << 20


def held(text: str, file: str = "") -> dict[str, int]:
    """Bytes of the mappings in ``text``, of the form of /proc/PID/smaps: resident, and by its share with others (PSS).

    ``file`` ends the name of the mappings that count; all count where it is empty.
    """
    sums, counts = {"Rss": 0, "Pss": 0}, False
    for line in text.splitlines():
        key, _, rest = line.partition(":")
        if "-" in key.split(" ")[0]:  # the first line of a mapping: addresses, rights, ..., name
            counts = line.endswith(file)
        elif counts and key in sums:
            sums[key] += int(rest.split()[0]) * 1024
    return {"resident_bytes": sums["Rss"], "proportional_bytes": sums["Pss"]}


def main() -> None:
    job = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    ranks = dist.get_world_size()
    before = held(Path("/proc/self/smaps").read_text())
    store = FrozenStore.open(job["store"])
    table = FrozenTable(store, placement=job["placement"])
    for start in range(0, store.count, BLOCK):  # as a step does: the kernel reads each row
        rows = torch.arange(start, min(start + BLOCK, store.count))
        counts = table.tier_counts(FrozenRows(rows[:1], rows, torch.tensor([0, rows.numel()])), 20)
        assert int(counts.sum()) == rows.numel()
    dist.barrier()  # every rank has read everything, and still holds it
    smaps = Path("/proc/self/smaps").read_text()
    whole, vectors = held(smaps), held(smaps, "/vectors.npy")
    found = {
        "grown_proportional_bytes": whole["proportional_bytes"] - before["proportional_bytes"],
        "grown_resident_bytes": whole["resident_bytes"] - before["resident_bytes"],
        "map": vectors,
    }
    every: list = [None] * ranks
    dist.all_gather_object(every, found)
    dist.barrier()
    if dist.get_rank() == 0:
        Path(job["out"]).write_text(json.dumps(every))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
