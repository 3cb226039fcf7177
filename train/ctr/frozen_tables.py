"""Frozen tables of a run: each modality's vectors opened in the placement that the sharding plan says."""

import datetime
from collections.abc import Mapping

import torch.distributed as dist

from embeddings.frozen.row_wise_table import RowWiseTable
from embeddings.frozen.store import FrozenStore
from embeddings.frozen.table import FrozenTable
from train.ctr.config import Config
from train.distributed.ranks import Ranks


def frozen_tables(
    stores: Mapping[str, FrozenStore], placements: Mapping[str, str], config: Config, ranks: Ranks
) -> dict[str, FrozenTable | RowWiseTable]:
    """Modality -> table. All ranks call it.

    Args:
        placements: modality -> replicated, host or row_wise; the same on every rank.

    Raises InputError for a placement that this machine's driver cannot do.
    """
    room = ranks.world_size * max(config.data.batch_size, config.data.eval_batch_size)
    tables: dict[str, FrozenTable | RowWiseTable] = {}
    for name, store in stores.items():
        if placements[name] != "row_wise":
            tables[name] = FrozenTable(store, ranks.device, placements[name])
            continue
        assert not config.model.per_behaviour(name), "check_plan refuses that"
        # a group of its own, so that these exchanges and TorchRec's never wait in one queue
        group = dist.new_group(timeout=datetime.timedelta(seconds=config.process.timeout_s))
        tables[name] = RowWiseTable(store, group, ranks.device, room=room)
    return tables
