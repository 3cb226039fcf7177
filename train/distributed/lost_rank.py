"""Errors of a broken connection as one line that names the rank which is missing."""

import contextlib
from collections.abc import Iterator

import torch.distributed as dist

from embeddings.errors import LostRank, first_line
from train.distributed.heartbeat import Heartbeat
from train.distributed.signals import ignore_signals

_LOST = ("connection closed by peer", "connection reset", "connection refused", "broken pipe", "socket closed",
         "timed out", "timeout", "remote process has exited", "gloo")  # fmt: skip


@contextlib.contextmanager
def lost_rank_named(world_size: int, heartbeat: Heartbeat | None = None) -> Iterator[None]:
    """Turn the errors of a broken connection into one line, which names the rank that is missing."""
    try:
        yield
    except (RuntimeError, dist.DistError) as error:
        text = str(error).lower()
        if world_size == 1 or not any(sign in text for sign in _LOST):
            raise
        ignore_signals()
        missing = heartbeat.missing() if heartbeat else ""
        raise LostRank(
            f"lost the connection to another rank ({first_line(error, 160)}); "
            f"{missing or 'all ranks have ended, and one of them says why'}; start the run again with run.resume=auto"
        ) from error
