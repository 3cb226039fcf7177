"""InfoNCE with a bank on two ranks, and on one; started by test_memory_bank.py. Rank 0 writes the differences."""

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn import functional as F

from recsys.scl.losses import centred, info_nce
from recsys.scl.memory_bank import MemoryBank

PAIRS, WIDTH, ROWS, ROUNDS = 6, 5, 24, 4  # of both ranks


def loss_and_gradients(queries, positives, keys, items, scale, bank, group):
    queries, positives, scale = (x.clone().requires_grad_() for x in (queries, positives, scale))
    loss = info_nce(queries, positives, items, scale, bank, group, centred(keys, group)).mean()
    loss.backward()
    return {"loss": loss.detach(), "queries": queries.grad, "positives": positives.grad, "scale": scale.grad}


def main() -> None:
    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    draw = torch.Generator().manual_seed(1)
    mine = slice(rank * PAIRS // ranks, (rank + 1) * PAIRS // ranks)
    distinct = sys.argv[2:] == ["distinct"]
    one, shared = (MemoryBank(ROWS, WIDTH, group, distinct) for group in (None, dist.group.WORLD))
    for _ in range(ROUNDS + 1):  # more than the bank holds
        vectors = F.normalize(torch.randn(PAIRS, WIDTH, generator=draw), dim=1)
        items = torch.randint(0, 5, (PAIRS,), generator=draw)
        one.push(vectors, items)
        shared.push(vectors[mine], items[mine])
    queries, positives, keys = F.normalize(torch.randn(3, PAIRS, WIDTH, generator=draw), dim=-1)
    items, scale = torch.randint(0, 9 if distinct else 5, (PAIRS,), generator=draw), torch.tensor(10.0)
    whole = loss_and_gradients(queries, positives, keys, items, scale, one, None)
    part = loss_and_gradients(queries[mine], positives[mine], keys[mine], items[mine], scale, shared, dist.group.WORLD)
    wanted = {"queries": whole["queries"][mine] * ranks, "positives": whole["positives"][mine] * ranks}
    differences = {name: float((part[name] - wanted[name]).abs().max()) for name in wanted}
    for name in ("loss", "scale"):  # DistributedDataParallel takes the mean of the ranks
        dist.all_reduce(part[name])
        differences[name] = float((part[name] / ranks - whole[name]).abs())
    most = torch.tensor([differences[name] for name in sorted(differences)])
    dist.all_reduce(most, op=dist.ReduceOp.MAX)
    if rank == 0:
        path = Path(sys.argv[1], "differences.json")
        path.write_text(json.dumps(dict(zip(sorted(differences), most.tolist(), strict=True))))
    dist.destroy_process_group()


if __name__ == "__main__":
    assert os.environ["WORLD_SIZE"] == "2"
    main()
