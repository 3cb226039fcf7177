"""Where this process stands among the ranks, and work that rank 0 does for all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist

from embeddings.errors import InputError
from train.distributed.heartbeat import Heartbeat

Result = TypeVar("Result")


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


def on_all(ranks: Ranks, action: Callable[[], Result], group: dist.ProcessGroup | None = None) -> list[Result]:
    """What ``action`` returns on each rank, by rank, on every rank. Where it fails on one, that one says why, all end.

    Args:
        group: as for ``on_first``.

    Raises:
        InputError, OSError: on the first rank where it failed, from ``action``.
        SystemExit: with status 2, on the other ranks.
    """
    result: Result | None = None
    failure: Exception | None = None
    try:
        result = action()
    except (InputError, OSError) as error:
        failure = error
    answers: list = [None] * ranks.world_size
    dist.all_gather_object(answers, (result, failure is not None), group=group)
    failed = [rank for rank, (_, failed) in enumerate(answers) if failed]
    if failed:
        raise failure if failure is not None and failed[0] == ranks.rank else SystemExit(2)
    return [answer for answer, _ in answers]
