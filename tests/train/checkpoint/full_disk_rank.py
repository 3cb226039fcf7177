"""A rank that saves where there is no room for all, and again once there is; prints what it was told."""

import json
import sys
from pathlib import Path

import torch

from embeddings.errors import InputError
from train.checkpoint.checkpointer import Checkpointer
from train.checkpoint.shards import TensorShard
from train.config import ProcessConfig
from train.distributed.process_group import process_group
from train.distributed.ranks import on_first

PART = 5 << 18  # numbers of a rank, 5 MiB


class Halves:
    """A state of which each rank holds a part of ``size``."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    def shards(self) -> list[TensorShard]:
        return [TensorShard("t", (2 * self.size,), (self.rank * self.size,), torch.ones(self.size))]

    def layout(self):
        return {}

    def restore(self, read, progress):
        read(self.shards())


def main(disk: Path) -> None:
    with process_group(ProcessConfig(device="cpu", threads=1)) as ranks:
        checkpointer = Checkpointer(disk / "run", ranks, keep=3)
        told = None

        def save(step: int, size: int) -> None:
            checkpointer.save(Halves(ranks.rank, size), {"step": step}, best=False)
            checkpointer.finish()

        save(1, 8)
        try:
            save(2, PART)
            told = "nothing"
        except InputError as error:
            told = str(error)
        except SystemExit:
            pass
        on_first(ranks, (disk / "ballast").unlink)
        save(3, PART)
        then = on_first(ranks, lambda: sorted(p.name for p in checkpointer.path.iterdir()))
        print(json.dumps({"error": told, "then": then}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
