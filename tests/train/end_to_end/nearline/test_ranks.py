"""Near-line training on two ranks: any sharding type, and kills at random moments, end in the same weights."""

import os
import random
import signal
import time

import numpy as np
import pytest

from serve import Scorer
from tests.train.launch import finished, ranks_of, rows, start_launched_ranks
from tests.train.nearline.conftest import PLANS, Nearline, logits


def started(here: Nearline, ranks: int, *more: object):
    return start_launched_ranks(ranks, *here.arguments("--model", here.model, "--publish-s", 0, *more))


def weights(here: Nearline) -> dict[str, np.ndarray]:
    """Of the newest checkpoint, by name."""
    from safetensors.numpy import load_file

    newest = sorted((here.folder / "checkpoints").glob("step-*"))[-1]
    return {
        f"{name}": value
        for file in sorted(newest.glob("*.safetensors"))
        for name, value in load_file(file).items()
        if not name.startswith("random.")
    }


@pytest.mark.slow
@pytest.mark.parametrize("plan", PLANS)
def test_two_ranks_under_a_plan(nearline, plan):
    here = nearline()
    here.write(150, 33, 1)
    here.writer.end()
    done = finished(started(here, 2, *PLANS[plan]))
    assert done.status == 0, done.err
    scorer = Scorer(here.model)
    assert (scorer.version, scorer.delta) == ("000001", 3)
    assert np.array_equal(logits(scorer), here.full())
    assert [row["step"] for row in rows(here.folder)] == [9, 10, 11]


@pytest.mark.slow
def test_killed_while_it_trains(nearline):
    """The final weights are those of the stream without a kill, bit for bit, and what is published fits together."""
    whole, killed = nearline("whole"), nearline("killed")
    sizes, more, chance = (64, 100, 31, 7, 128), ["train.checkpoint_every=3"], random.Random(1)
    for _ in range(3):
        killed.write(*sizes)
        before = len(rows(killed.folder))
        process = started(killed, 2, *more)
        until = time.monotonic() + 60
        while len(rows(killed.folder)) < before + 2 and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.3 * chance.random())
        assert process.poll() is None, process.communicate()
        for rank in ranks_of(process):
            os.kill(rank, signal.SIGKILL)
        process.kill()
        process.communicate()
        logits(Scorer(killed.model))
    killed.writer.end()
    done = finished(started(killed, 2, *more))
    assert done.status == 0, done.err
    whole.write(*sizes * 3)
    whole.writer.end()
    assert finished(started(whole, 2, *more)).status == 0
    ours, theirs = weights(killed), weights(whole)
    assert ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)
    assert np.array_equal(logits(Scorer(killed.model)), whole.full())
