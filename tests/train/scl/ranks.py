"""BatchNorm on two ranks that see other rows; started by test_buffers.py. Each writes its buffers."""

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from train.scl.build import same_buffers


def main() -> None:
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    towers = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3))
    for _ in range(2):
        towers(torch.randn(8, 3, generator=torch.Generator().manual_seed(rank)) + rank)
    before = [b.clone() for b in towers.buffers()]
    same_buffers(towers)
    torch.save({"before": before, "after": list(towers.buffers())}, Path(sys.argv[1], f"{rank}.pt"))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
