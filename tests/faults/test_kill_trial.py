"""A few kills of launchers, as the trial of a hundred makes them."""

import pytest

from tests.faults.kill_trial import Subject, trial

pytestmark = pytest.mark.slow


def test_launchers_killed_alone_and_with_their_ranks(tmp_path):
    subject = Subject("ctr on two ranks", "ctr", 2, 1.0, ["train.epochs=4"], ways=["launcher", "launcher and ranks"])
    (tally,) = trial(4, 2, tmp_path, [subject], lanes=1)
    assert tally.faults == [] and tally.kills.total() == 4 and set(tally.kills) == set(subject.ways)


def test_a_trial_notices_other_figures_and_what_is_left(tmp_path, monkeypatch):
    subject = Subject("ctr on one rank", "ctr", 1, 1.0, ["data.batch_size=64", "train.epochs=2"])
    numbers = iter([1, 2])
    monkeypatch.setattr("tests.faults.kill_trial.figures", lambda run: next(numbers))
    monkeypatch.setattr("tests.faults.kill_trial.whole_and_clean", lambda run: (run / ".writing-x").mkdir())
    (tally,) = trial(1, 1, tmp_path, [subject], lanes=1)
    assert len(tally.faults) == 2 and "other figures" in tally.faults[0] and ".writing-x" in tally.faults[1]
