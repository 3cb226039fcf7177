"""A window's figures against sums over its steps."""

import math

import pytest
import torch

from train.ctr import metrics_window as window_module
from train.ctr.metrics_window import Window

CPU = torch.device("cpu")
STEPS = [(0.7, [1, 0, 0, 1]), (0.4, [0, 0]), (1.1, [1, 1, 1, 0, 0])]


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr(window_module.time, "monotonic", lambda: now[0])
    return now


def filled(steps=STEPS, first: int = 1) -> Window:
    window = Window(CPU, 1)
    for step, (loss, labels) in enumerate(steps, first):
        window.add(step, torch.tensor(loss), torch.tensor(labels, dtype=torch.float32))
    return window


def test_loss_ne_and_speed_weigh_rows(clock):
    window = filled()
    assert window.steps == 3
    clock[0] += 2.0
    found = window.summary()
    loss = (0.7 * 4 + 0.4 * 2 + 1.1 * 5) / 11
    base = 5 / 11
    entropy = -(base * math.log(base) + (1 - base) * math.log(1 - base))
    assert found.loss == pytest.approx(loss, rel=1e-6) and found.ne == pytest.approx(loss / entropy, rel=1e-6)
    assert found.examples_per_s == pytest.approx(11 / 2.0) and found.bad_step is None


def test_a_summary_empties_the_window(clock):
    window = filled()
    clock[0] += 1
    window.summary()
    assert window.steps == 0
    window.add(4, torch.tensor(0.25), torch.tensor([1.0, 0.0]))
    clock[0] += 4
    found = window.summary()
    assert found.loss == pytest.approx(0.25) and found.examples_per_s == pytest.approx(0.5)


def test_one_label_alone_has_no_ne(clock):
    window = filled([(0.5, [1, 1])])
    clock[0] += 1
    assert window.summary().ne is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_the_first_step_that_is_not_finite_is_named(clock, bad):
    window = filled([(0.5, [1, 0]), (bad, [1, 0]), (0.5, [1, 0]), (bad, [0])], first=11)
    clock[0] += 1
    assert window.summary().bad_step == 12 and window.bad_here
    window.add(15, torch.tensor(0.5), torch.tensor([1.0]))
    clock[0] += 1
    assert window.summary().bad_step is None and not window.bad_here
