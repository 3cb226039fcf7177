"""Frozen tables of a run: each modality's vectors, checked, in the placement that the sharding plan says."""

import datetime
import sys
from collections.abc import Mapping

import torch.distributed as dist

from embeddings.frozen.check_store import check_before_use
from embeddings.frozen.lost_pages import name_lost_pages
from embeddings.frozen.row_wise_table import RowWiseTable
from embeddings.frozen.store import FrozenStore
from embeddings.frozen.table import FrozenTable
from embeddings.frozen.vector_store import VectorStore
from train.ctr.config import Config
from train.distributed.ranks import Ranks, on_all


def frozen_tables(
    stores: Mapping[str, VectorStore], placements: Mapping[str, str], config: Config, ranks: Ranks
) -> dict[str, FrozenTable | RowWiseTable]:
    """Modality -> table. All ranks call it.

    Args:
        placements: modality -> replicated, host or row_wise; the same on every rank.

    Raises InputError for a placement that this machine's driver cannot do, and for a store whose rows are damaged.
    """

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def check() -> None:
        for store in stores.values():
            if not isinstance(store, FrozenStore):  # a live index checks what it maps
                continue
            name_lost_pages(store)
            if ranks.local_rank == 0:  # the ranks of a host read the same files
                ranks.mark(f"reading frozen store '{store.path}' to check it")
                check_before_use(store, say, limit_s=config.process.timeout_s / 2)

    on_all(ranks, check)
    timeout = datetime.timedelta(seconds=config.process.timeout_s)
    # groups of their own, so that these exchanges and TorchRec's never wait in one queue
    groups = {name: dist.new_group(timeout=timeout) for name in stores if placements[name] == "row_wise"}
    room = ranks.world_size * max(config.data.batch_size, config.data.eval_batch_size)

    tables: dict[str, FrozenTable | RowWiseTable] = {}

    def build() -> None:
        for name, store in stores.items():
            if name in groups:
                assert not config.model.per_behaviour(name), "check_plan refuses that"
                tables[name] = RowWiseTable(store, groups[name], ranks.device, room=room)
            else:
                tables[name] = FrozenTable(store, ranks.device, placements[name])

    on_all(ranks, build)
    return tables
