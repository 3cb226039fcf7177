"""Joins the process group that a launcher's environment describes, or makes one of a single rank."""

import contextlib
import datetime
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist

from train.config import ProcessConfig
from train.distributed import launcher_watch, nccl
from train.distributed.device import available_cores, choose_device
from train.distributed.heartbeat import begin_heartbeat
from train.distributed.lost_rank import lost_rank_named
from train.distributed.ranks import Ranks
from train.distributed.signals import ignore_signals


@contextlib.contextmanager
def process_group(config: ProcessConfig, records: Path | None = None) -> Iterator[Ranks]:
    """Join the process group that torchrun's environment describes, or make one of a single rank.

    Args:
        records: folder for what NCCL's ranks did last, should one of them hang; None: torch's own place.

    Sets torch's threads. Raises InputError where CUDA is asked for and absent, LostRank where another rank is lost.
    """
    number = {key: int(os.environ.get(key, default)) for key, default in
              (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", 1))}  # fmt: skip
    launcher_watch.allow(config.grace_s)
    _silence_library_warnings()
    device = choose_device(config.device, number["LOCAL_RANK"])
    ranks = Ranks(number["RANK"], number["WORLD_SIZE"], number["LOCAL_RANK"], number["LOCAL_WORLD_SIZE"], device)
    torch.set_num_threads(config.threads or max(1, available_cores() // ranks.local_world_size))
    on_cuda = ranks.device.type == "cuda"
    if on_cuda:
        nccl.record_exchanges(records)
    backend = "cpu:gloo,cuda:nccl" if on_cuda else "gloo"
    timeout = datetime.timedelta(seconds=config.timeout_s)
    with tempfile.TemporaryDirectory() as folder:
        if "RANK" in os.environ:
            store = _rendezvous_store(ranks, timeout)
            dist.init_process_group(backend, store=store, rank=ranks.rank, world_size=ranks.world_size, timeout=timeout)
        else:
            dist.init_process_group(backend, init_method=f"file://{folder}/join", rank=0, world_size=1, timeout=timeout)
        if on_cuda:
            assert dist.group.WORLD is not None
            nccl.watch_later(dist.group.WORLD, config.timeout_s)
        heartbeat = begin_heartbeat(ranks.rank, ranks.world_size)
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


def _rendezvous_store(ranks: Ranks, timeout: datetime.timedelta) -> dist.Store:
    """The store through which the ranks meet, with names of its own for each attempt of a launcher.

    torchrun keeps one store for all attempts, and torch takes it for a new one: a rank that is quick to start again
    would find the addresses of ranks that are dead.
    """
    launcher_has_it = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store = dist.TCPStore(
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        ranks.world_size,
        is_master=ranks.first and not launcher_has_it,
        timeout=timeout,
    )
    return dist.PrefixStore(f"attempt-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


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
