"""Joins the process group that a launcher's environment describes, or makes one of a single rank."""

import contextlib
import datetime
import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist

from train.config import ProcessConfig
from train.distributed import launcher_watch, nccl
from train.distributed.device import choose_device
from train.distributed.heartbeat import begin_heartbeat
from train.distributed.launcher import read_launcher
from train.distributed.lost_rank import lost_rank_named
from train.distributed.ranks import Ranks
from train.distributed.rendezvous import failures_named, rendezvous_store
from train.distributed.signals import ignore_signals
from train.distributed.threads import rank_threads


@contextlib.contextmanager
def process_group(config: ProcessConfig, records: Path | None = None) -> Iterator[Ranks]:
    """Join the process group that a launcher's environment describes, or one of a single rank, which needs no file.

    Args:
        records: folder for what NCCL's ranks did last, should one of them hang; None: torch's own place.

    Sets torch's threads. Raises InputError where CUDA is asked for and absent and for an environment in which ranks
    cannot meet, LostRank where another rank is lost or does not come.
    """
    launched = read_launcher()
    launcher_watch.allow(config.grace_s)
    _silence_library_warnings()
    here = (launched.local_rank, launched.local_world_size)
    ranks = Ranks(launched.rank, launched.world_size, *here, choose_device(config.device, *here))
    torch.set_num_threads(rank_threads(config.threads, launched))
    on_cuda = ranks.device.type == "cuda"
    if on_cuda:
        nccl.record_exchanges(records)
    store = rendezvous_store(launched, config.timeout_s)
    with failures_named(launched, config.timeout_s):
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if on_cuda else "gloo",
            store=store,
            rank=ranks.rank,
            world_size=ranks.world_size,
            timeout=datetime.timedelta(seconds=config.timeout_s),
        )
    if on_cuda:
        assert dist.group.WORLD is not None
        nccl.watch_later(dist.group.WORLD, config.timeout_s)
    heartbeat = begin_heartbeat(launched)
    try:
        with lost_rank_named(ranks.world_size, heartbeat):
            yield replace(ranks, heartbeat=heartbeat)
    except BaseException:
        ignore_signals()
        raise
    finally:
        if heartbeat:
            heartbeat.close()
        dist.destroy_process_group()


def _silence_library_warnings() -> None:
    """Leave out what TorchRec and torch say about each other's interfaces; nobody who runs this can act on it."""
    for message in (
        "Please use DTensor instead",
        "`broadcast_buffers` is deprecated",
        r"`torch\.distributed\.\w+_tensor` is deprecated",
    ):
        warnings.filterwarnings("ignore", message=message, category=FutureWarning)
    warnings.filterwarnings("ignore", message="fbgemm::dense_embedding_codegen_lookup_function", category=UserWarning)
    for name in ("torch.fx._symbolic_trace", "torchrec.distributed.utils"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger().addFilter(lambda record: not record.getMessage().startswith("Sharding spec not found"))
