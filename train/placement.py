"""Where each modality's frozen vectors live in this run: as the config says, or by the sizes and the free memory."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.distributed as dist

from embeddings.frozen.placement import choose_placement
from embeddings.frozen.row_wise import RowWiseTable
from embeddings.frozen.store import FrozenStore
from embeddings.frozen.table import FrozenTable
from embeddings.tables import TableConfig
from train.config import Config
from train.process import Ranks

_RESERVED = 0.15  # of free memory, for the dense part, activations and batches


def frozen_tables(
    stores: Mapping[str, FrozenStore], tables: list[TableConfig], config: Config, ranks: Ranks
) -> dict[str, FrozenTable | RowWiseTable]:
    """The modalities' tables, placed the same on every rank. All ranks call it.

    Raises InputError for a placement that this machine's driver cannot do.
    """
    free_hbm, free_ddr = _free_bytes(tables, ranks)
    made: dict[str, FrozenTable | RowWiseTable] = {}
    for name, store in stores.items():
        wanted = config.model.modality(name)
        size = store.vectors.nbytes + (0 if store.scale is None else store.scale.nbytes)
        placement = wanted.placement
        if placement == "auto":
            placement = choose_placement(size, free_hbm, free_ddr, ranks.device.type, ranks.local_world_size)
            if placement == "row_wise" and (wanted.mode != "simtier" or _gains_nothing(ranks)):
                placement = "host"
                if ranks.first:
                    print(
                        f"modality '{name}': {size / 2**30:.1f} GiB of vectors do not fit into memory and cannot be "
                        "spread over more hosts; they are read from the store's memory map, and slowly where that is "
                        "on disk",
                        file=sys.stderr,
                    )
        if placement == "replicated":
            free_hbm -= size
            free_ddr -= size * ranks.local_world_size if ranks.device.type == "cpu" else 0
        if placement != "row_wise":
            made[name] = FrozenTable(store, ranks.device, placement)
            continue
        room = ranks.world_size * max(config.data.batch_size, config.data.eval_batch_size)
        # a group of its own, so that these exchanges and TorchRec's never wait in one queue
        made[name] = RowWiseTable(store, dist.new_group(), ranks.device, room=room)
    return made


def _gains_nothing(ranks: Ranks) -> bool:
    """On CPU, all rows on one host take the memory that the map would, which the kernel can drop and read again."""
    return ranks.device.type == "cpu" and ranks.world_size == ranks.local_world_size


def _free_bytes(tables: list[TableConfig], ranks: Ranks) -> tuple[int, int]:
    """Free memory of a device and of a host, after the ID tables' even share: the least over all ranks."""
    share = sum(4 * t.num_embeddings * t.embedding_dim for t in tables) // ranks.world_size
    on_cuda = ranks.device.type == "cuda"
    hbm = torch.cuda.mem_get_info(ranks.device)[0] * (1 - _RESERVED) - share if on_cuda else 0
    ddr = _available_bytes() * (1 - _RESERVED) - (0 if on_cuda else share * ranks.local_world_size)
    least = torch.tensor([hbm, ddr], dtype=torch.float64)
    if ranks.world_size > 1:
        dist.all_reduce(least, dist.ReduceOp.MIN)
    return int(least[0]), int(least[1])


def _available_bytes() -> int:
    """What the kernel could give out without swapping, dropping cached files; half of all memory where it says not."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
