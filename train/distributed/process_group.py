"""This process among the ranks: device, process group, and what to say when another rank is gone."""

import contextlib
import datetime
import logging
import os
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist

from embeddings.errors import InputError, LostRank
from embeddings.zch import check_managed
from recsys.schema import load_schema, zch_tables
from train.config import Config, ProcessConfig
from train.distributed import heartbeat as heartbeats
from train.distributed import nccl
from train.distributed.heartbeat import Heartbeat

Result = TypeVar("Result")

_LOST = ("connection closed by peer", "connection reset", "connection refused", "broken pipe", "socket closed",
         "timed out", "timeout", "remote process has exited", "gloo")  # fmt: skip


@dataclass(frozen=True)
class Ranks:
    """Where this process stands."""

    rank: int
    world_size: int
    local_rank: int
    local_world_size: int
    device: torch.device
    heartbeat: Heartbeat | None = None

    @property
    def first(self) -> bool:
        return self.rank == 0

    def mark(self, place: str) -> None:
        """Note where this rank is, for the others' message should it be lost."""
        if self.heartbeat:
            self.heartbeat.mark(place)


@contextlib.contextmanager
def process_group(config: ProcessConfig, records: Path | None = None) -> Iterator[Ranks]:
    """Join the process group that torchrun's environment describes, or make one of a single rank.

    Args:
        records: folder for what NCCL's ranks did last, should one of them hang; None: torch's own place.

    Sets torch's threads. Raises InputError where CUDA is asked for and absent, LostRank where another rank is lost.
    """
    number = {key: int(os.environ.get(key, default)) for key, default in
              (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", 1))}  # fmt: skip
    _quiet(number["RANK"])
    ranks = Ranks(*number.values(), device=_device(config.device, number["LOCAL_RANK"]))
    torch.set_num_threads(config.threads or max(1, _cores() // ranks.local_world_size))
    on_cuda = ranks.device.type == "cuda"
    if on_cuda:
        nccl.record_exchanges(records)
    backend = "cpu:gloo,cuda:nccl" if on_cuda else "gloo"
    timeout = datetime.timedelta(seconds=config.timeout_s)
    with tempfile.TemporaryDirectory() as folder:
        if "RANK" in os.environ:
            store = _store(ranks, timeout)
            dist.init_process_group(backend, store=store, rank=ranks.rank, world_size=ranks.world_size, timeout=timeout)
        else:
            dist.init_process_group(backend, init_method=f"file://{folder}/join", rank=0, world_size=1, timeout=timeout)
        if on_cuda:
            nccl.watch_later(dist.group.WORLD, config.timeout_s)
        heartbeat = heartbeats.begin(ranks.rank, ranks.world_size)
        try:
            with _losses_named(ranks.world_size, heartbeat):
                yield replace(ranks, heartbeat=heartbeat)
        except BaseException:
            ignore_sigterm()
            raise
        finally:
            if heartbeat:
                heartbeat.close()
            dist.destroy_process_group()


def _store(ranks: Ranks, timeout: datetime.timedelta) -> dist.Store:
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


def refuse_managed(config: Config) -> None:
    """End every rank, before any waits for another, where managed tables cannot run. Raises InputError on the first."""
    device = _device(config.process.device, int(os.environ.get("LOCAL_RANK", 0)))
    try:
        check_managed(zch_tables(load_schema(config.data.path)), device.type, int(os.environ.get("WORLD_SIZE", 1)))
    except InputError:
        if os.environ.get("RANK", "0") == "0":
            raise
        raise SystemExit(2) from None


def ignore_sigterm() -> None:
    """This process is ending with words of its own; a launcher that ends all ranks when one fails must not cut them."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextlib.contextmanager
def last_words() -> Iterator[None]:
    """While a run's end is written: no signal cuts it. A launcher passes on the ^C that its ranks got already."""
    ignore_sigterm()
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def on_first(ranks: Ranks, action: Callable[[], Result], group: dist.ProcessGroup | None = None) -> Result:
    """What ``action`` returns on rank 0, on every rank. Where it fails, rank 0 says why and all ranks end.

    Args:
        group: of all ranks, for a thread beside the main one; None: the main one's.

    Raises:
        InputError, OSError: on rank 0, from ``action``.
        SystemExit: with status 2, on the other ranks.
    """
    answer: list = [None, False]
    failure: Exception | None = None
    if ranks.first:
        try:
            answer[0] = action()
        except (InputError, OSError) as error:
            failure, answer[1] = error, True
    dist.broadcast_object_list(answer, src=0, group=group)
    if failure is not None:
        raise failure
    if answer[1]:
        raise SystemExit(2)
    return answer[0]


@contextlib.contextmanager
def _losses_named(world_size: int, heartbeat: Heartbeat | None = None) -> Iterator[None]:
    """Turn the errors of a broken connection into one line, which names the rank that is missing."""
    try:
        yield
    except (RuntimeError, dist.DistError) as error:
        text = str(error).lower()
        if world_size == 1 or not any(sign in text for sign in _LOST):
            raise
        ignore_sigterm()
        missing = heartbeat.missing() if heartbeat else ""
        raise LostRank(
            f"lost the connection to another rank ({str(error).strip().splitlines()[0][:160]}); "
            f"{missing or 'all ranks have ended, and one of them says why'}; start the run again with run.resume=auto"
        ) from error


def _quiet(rank: int) -> None:
    """Leave out what TorchRec and torch say about each other's interfaces; nobody who runs this can act on it."""
    if rank:  # the first rank says it for all
        warnings.filterwarnings("ignore", message="SimTier and MAKE run as plain torch")
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


def _device(wanted: str, local_rank: int) -> torch.device:
    found = torch.cuda.is_available()
    if wanted == "cuda" and not found:
        raise InputError(
            "process.device is cuda, but torch finds no CUDA device; 'python -m train env' says what is there"
        )
    if wanted == "cpu" or not found:
        return torch.device("cpu")
    if (here := int(os.environ.get("LOCAL_WORLD_SIZE", 1))) > (devices := torch.cuda.device_count()):
        shortage = f"{here} ranks on this machine but {devices} CUDA devices"
        if wanted == "cuda":
            raise InputError(
                f"process.device is cuda with {shortage}; start at most {devices} ranks a machine, -j 1x{devices}"
            )
        if local_rank == 0:
            print(f"{shortage}: training on CPU, which is far slower; -j 1x{devices} uses the devices", file=sys.stderr)
        return torch.device("cpu")
    device = torch.device("cuda", local_rank)
    torch.cuda.set_device(device)
    return device


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
