"""The state of a run in a checkpoint's progress.json, new and old."""

from dataclasses import asdict

import pytest

from train.run.trainer_state import TrainerState


def test_there_and_back():
    state = TrainerState(step=30, epoch=2, batch=6, best=0.7, best_epoch=1, validated=24, worse=0)
    assert TrainerState.of({**asdict(state), "world_size": 2, "files": {}}) == state
    assert TrainerState.of({}) == TrainerState()


@pytest.mark.parametrize(("epoch", "best_epoch", "worse"), [(5, 1, 3), (2, 1, 0), (1, 1, 0), (3, None, 0)])
def test_an_older_checkpoint_counts_epochs_since_the_best(epoch, best_epoch, worse):
    assert TrainerState.of({"epoch": epoch, "best_epoch": best_epoch}).worse == worse
    assert TrainerState.of({"epoch": epoch, "best_epoch": best_epoch, "worse": 9}).worse == 9


def test_an_epoch_that_has_begun_counts():
    assert [TrainerState(epoch=2, batch=batch).epochs_begun for batch in (0, 1, 7)] == [2, 3, 3]
