"""Steps on pictures that differ by rank, the bank waiting for the first two; started by test_step.py.

Each rank writes, of every step, rank 0's encoders before it and its own momentum encoder after it.
"""

import sys
from pathlib import Path

import torch
import torch.distributed as dist

from recsys.scl.encoders.build import build_encoder
from recsys.scl.towers import Towers
from train.distributed.ranks import Ranks
from train.scl.build import build_trainable, same_buffers
from train.scl.config import SCLConfig
from train.scl.pair_reader import PairBatch
from train.scl.train_step import SCLStep

EPOCHS, PAIRS = (0, 0, 1, 1, 1), 6
SETTINGS = {
    "data": {"path": "none"},
    "model": {"width": 4, "image": {"size": 16, "channels": [4]},
              "bank": {"rows": 48, "momentum": 0.75, "wait_epochs": 1}},
}  # fmt: skip


def batch(rank: int, step: int) -> PairBatch:
    draw = torch.Generator().manual_seed(100 * step + rank)
    pictures = torch.randint(0, 256, (2, PAIRS, 3, 16, 16), dtype=torch.uint8, generator=draw)
    items = torch.randint(0, 9, (PAIRS,), generator=draw)
    return PairBatch(pictures[0], pictures[1], pictures[1, :0], items, items[:0])


def state(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def main() -> None:
    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    config, ranks = SCLConfig(**SETTINGS), Ranks(rank, size, rank, size, torch.device("cpu"))
    torch.manual_seed(0)
    towers = Towers(build_encoder("image", config.model), None, 0.07)
    trainable = build_trainable(config, towers, ranks)
    step = SCLStep(trainable, config.model, ranks, autocast=False, clip=None)
    states = []
    for number, epoch in enumerate(EPOCHS):
        buffers = [buffer.clone() for buffer in towers.buffers()]
        same_buffers(towers)  # to look at rank 0's alone
        before = state(towers)
        for buffer, value in zip(towers.buffers(), buffers, strict=True):
            buffer.copy_(value)
        step(batch(rank, number), 0.1, epoch)
        states.append((before, state(trainable.momentum_encoder.towers)))
    torch.save({"steps": states, "filled": int(trainable.bank.filled.sum())}, Path(sys.argv[1], f"{rank}.pt"))
    del step, trainable  # before the process group that they use
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
