"""Consensus of two ranks on control flags, over gloo: what one of them asks for, all do, after the same step."""

import threading
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist

from tests.embeddings.frozen.ranks import on_ranks
from train.distributed import consensus
from train.distributed.consensus import Consensus, ControlFlags
from train.distributed.ranks import Ranks

CPU = torch.device("cpu")
NOTHING, STOP, SAVE, FAILED = (
    ControlFlags(),
    ControlFlags(stop=True),
    ControlFlags(save=True),
    ControlFlags(failed=True),
)


@pytest.fixture
def own(monkeypatch) -> threading.local:
    """Each rank's process group and clock, where ranks are threads: the module sees those of the thread that asks."""
    place = threading.local()

    def all_reduce(tensor: torch.Tensor, op: dist.ReduceOp) -> None:
        options = dist.AllreduceOptions()
        options.reduceOp = op
        place.group.allreduce([tensor], options).wait()

    monkeypatch.setattr(consensus, "dist", SimpleNamespace(all_reduce=all_reduce, ReduceOp=dist.ReduceOp))
    monkeypatch.setattr(consensus, "time", SimpleNamespace(monotonic=lambda: place.now))
    return place


def exchanges(own: threading.local, step_s: tuple[float, float], asked: dict[int, tuple]) -> list[list[tuple]]:
    """Of each rank: after which of 12 steps there was an exchange, and what came of it; ``asked`` by step and rank."""

    def work(rank: int, group: dist.ProcessGroup) -> list[tuple]:
        own.group, own.now = group, 100.0
        agreed, flags = [], Consensus(Ranks(rank, 2, rank, 2, CPU))
        for step in range(1, 13):
            own.now += step_s[rank]
            if flags.due():
                agreed.append((step, flags.exchange(asked.get(step, (NOTHING, NOTHING))[rank])))
        return agreed

    return on_ranks(2, work)


def test_what_one_rank_asks_for_all_hear_after_the_same_step(own):
    asked = {5: (NOTHING, STOP), 9: (SAVE, FAILED)}
    first, second = exchanges(own, (0.25, 0.7), asked)
    assert first == second == [(1, NOTHING), (5, STOP), (9, ControlFlags(save=True, failed=True))]


@pytest.mark.parametrize(("step_s", "steps"), [(0.25, [1, 5, 9]), (0.6, [*range(1, 13)]), (0.0001, [1])])
def test_an_exchange_comes_once_a_second_of_rank_0(own, step_s, steps):
    first, second = exchanges(own, (step_s, 0.01), {})
    assert [step for step, _ in first] == [step for step, _ in second] == steps


def test_one_rank_alone_asks_itself_after_every_step():
    alone = Consensus(Ranks(0, 1, 0, 1, CPU))
    for flags in (NOTHING, STOP, SAVE):
        assert alone.due() and alone.exchange(flags) is flags
