"""Running statistics are the same on all ranks when an encoder is judged or saved."""

from types import SimpleNamespace

import pytest
import torch

from tests.train.launch import finished, start_bare_ranks
from train.scl import checkpoint_state, task


@pytest.mark.slow
def test_ranks_have_the_firsts(tmp_path):
    for done in map(finished, start_bare_ranks(2, tmp_path, module="tests.train.scl.ranks")):
        assert done.status == 0, done.err
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert not torch.equal(first["before"][0], second["before"][0])
    for a, b, wanted in zip(first["after"], second["after"], first["before"], strict=True):
        assert torch.equal(a, wanted) and torch.equal(b, wanted)


def test_they_are_made_equal_before_an_evaluation_and_a_checkpoint(monkeypatch):
    class Reached(Exception):
        pass

    def reached(towers: object) -> None:
        assert towers == "the towers"
        raise Reached

    for module in (task, checkpoint_state):
        monkeypatch.setattr(module, "same_buffers", reached)
    evaluating = object.__new__(task.SCLTask)
    evaluating.towers = "the towers"
    with pytest.raises(Reached):
        evaluating.evaluate("validation", lambda rows: None)
    with pytest.raises(Reached):
        checkpoint_state.SCLCheckpointState(SimpleNamespace(towers="the towers")).shards()
