"""Trains MAKE's attention under DistributedDataParallel on both kinds of table; started by torchrun from test_make.py.

Writes, on rank 0, the largest differences between them over ranks: results, gradients, parameters after some steps.
"""

import copy
import json
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from embeddings.frozen.row_wise_table import RowWiseTable
from embeddings.frozen.store import FrozenStore
from embeddings.frozen.table import FrozenTable
from recsys.batch import FrozenRows
from recsys.models.make import MAKEAttention

STEPS = 5


def rows_of(seed: int, count: int) -> FrozenRows:
    draw = torch.Generator().manual_seed(seed)
    targets = 3 + seed % 4
    lengths = torch.randint(0, 9, (targets,), generator=draw)
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    history = torch.randint(-1, count, (int(offsets[-1]),), generator=draw)
    bag_index = torch.randint(0, targets, (targets,), generator=draw) if seed % 2 else None
    return FrozenRows(torch.randint(-1, count, (targets,), generator=draw), history, offsets, bag_index)


def compare(store: FrozenStore) -> dict[str, float]:
    """The differences on this rank."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    whole = MAKEAttention(FrozenTable(store), hidden=6)
    parts = copy.copy(whole)
    parts._parameters = {name: torch.nn.Parameter(p.detach().clone()) for name, p in whole._parameters.items()}
    parts.table = RowWiseTable(store, dist.new_group(), room=100)
    modules = [DistributedDataParallel(m, static_graph=True) for m in (whole, parts)]
    optimizers = [torch.optim.SGD(m.parameters(), lr=0.5) for m in modules]
    worst = {"result": 0.0, "gradient": 0.0, "parameter": 0.0, "moved": 0.0}
    start = [p.detach().clone() for p in whole.parameters()]
    for step in range(STEPS):
        rows = rows_of(ranks * step + rank, store.count)
        results = []
        for module, optimizer in zip(modules, optimizers, strict=True):
            optimizer.zero_grad()
            out = module(rows)
            (out - 0.1 * (rank + 1)).square().mean().backward()  # each rank its own loss
            results.append((out.detach(), [p.grad.clone() for p in module.parameters()]))
            optimizer.step()
        (a, of_a), (b, of_b) = results
        worst["result"] = max(worst["result"], _apart(a, b))
        worst["gradient"] = max(worst["gradient"], *(_apart(x, y) for x, y in zip(of_a, of_b, strict=True)))
    pairs = zip(whole.parameters(), parts.parameters(), start, strict=True)
    for a, b, before in pairs:
        worst["parameter"] = max(worst["parameter"], _apart(a.detach(), b.detach()))
        worst["moved"] = max(worst["moved"], float((a.detach() - before).abs().max()))
    return worst


def main() -> None:
    dist.init_process_group("gloo")
    worst = compare(FrozenStore.open(sys.argv[1]))  # its modules must go before the process group that they use
    every: list = [None] * dist.get_world_size()
    dist.all_gather_object(every, worst)
    if dist.get_rank() == 0:
        Path(sys.argv[2]).write_text(json.dumps({name: max(w[name] for w in every) for name in worst}))
    dist.destroy_process_group()


def _apart(a: torch.Tensor, b: torch.Tensor) -> float:
    """Largest difference, relative to the largest value."""
    return float((a - b).abs().max() / a.abs().max().clamp(min=1e-6))


if __name__ == "__main__":
    main()
