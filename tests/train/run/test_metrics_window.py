"""A window's figures against sums over its steps."""

import math

import pytest
import torch

from train.distributed.ranks import Ranks
from train.run import metrics_window as window_module
from train.run.metrics_window import MetricsWindow

ALONE = Ranks(0, 1, 0, 1, torch.device("cpu"))
STEPS = [(0.7, [1, 0, 0, 1]), (0.4, [0, 0]), (1.1, [1, 1, 1, 0, 0])]


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr(window_module.time, "monotonic", lambda: now[0])
    return now


def add(window: MetricsWindow, step: int, loss: float, labels: list[int]) -> None:
    window.add(step, len(labels), torch.tensor(loss) * len(labels), torch.tensor(float(sum(labels))))


def filled(steps=STEPS, first: int = 1) -> MetricsWindow:
    window = MetricsWindow(("loss", "positives"), ALONE)
    for step, (loss, labels) in enumerate(steps, first):
        add(window, step, loss, labels)
    return window


def test_means_and_speed_weigh_rows(clock):
    window = filled()
    assert window.steps == 3
    clock[0] += 2.0
    metrics = window.summary()
    assert metrics.means == pytest.approx({"loss": (0.7 * 4 + 0.4 * 2 + 1.1 * 5) / 11, "positives": 5 / 11}, rel=1e-6)
    assert metrics.rows == 11 and metrics.examples_per_s == pytest.approx(11 / 2.0) and metrics.bad_step is None


def test_a_summary_empties_the_window(clock):
    window = filled()
    clock[0] += 1
    window.summary()
    assert window.steps == 0
    add(window, 4, 0.25, [1, 0])
    clock[0] += 4
    metrics = window.summary()
    assert metrics.means["loss"] == pytest.approx(0.25) and metrics.examples_per_s == pytest.approx(0.5)


@pytest.mark.parametrize(("rank", "here"), [(0, False), (1, True), (2, False)])
def test_of_the_ranks_whose_loss_is_not_finite_in_the_first_step_the_first_is_told(clock, monkeypatch, rank, here):
    def reduce(tensor, op=None):
        if op is not None:  # rank 0 is finite until step 13, the others until step 12
            tensor.fill_(min(13 * 3 + 0, 12 * 3 + 1, 12 * 3 + 2))

    monkeypatch.setattr(window_module.dist, "all_reduce", reduce)
    window = MetricsWindow(("loss", "positives"), Ranks(rank, 3, rank, 3, torch.device("cpu")))
    add(window, 12 if rank else 13, math.nan, [1, 0])
    clock[0] += 1
    metrics = window.summary()
    assert metrics.bad_step == 12 and metrics.bad_here == here


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_first_step_that_is_not_finite_is_named(clock, bad):
    window = filled([(0.5, [1, 0]), (bad, [1, 0]), (0.5, [1, 0]), (bad, [0])], first=11)
    clock[0] += 1
    metrics = window.summary()
    assert metrics.bad_step == 12 and metrics.bad_here
    add(window, 15, 0.5, [1])
    clock[0] += 1
    metrics = window.summary()
    assert metrics.bad_step is None and not metrics.bad_here
