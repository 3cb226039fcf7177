"""Running statistics are the same on all ranks when an encoder is judged or saved."""

import pytest
import torch

from tests.train.launch import finished, start_bare_ranks
from train.scl import trainer as loop


@pytest.mark.slow
def test_ranks_have_the_firsts(tmp_path):
    for done in map(finished, start_bare_ranks(2, tmp_path, module="tests.train.scl.ranks")):
        assert done.status == 0, done.err
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert not torch.equal(first["before"][0], second["before"][0])
    for a, b, own in zip(first["after"], second["after"], first["before"], strict=True):
        assert torch.equal(a, own) and torch.equal(b, own)


@pytest.mark.parametrize("part", ["_evaluated", "_save"])
def test_they_are_made_equal_before_anything_else(monkeypatch, part):
    class Reached(Exception):
        pass

    def reached(towers: object) -> None:
        assert towers == "the towers"
        raise Reached

    monkeypatch.setattr(loop, "same_buffers", reached)
    run = object.__new__(next(v for v in vars(loop).values() if isinstance(v, type) and part in vars(v)))
    run.towers = "the towers"
    with pytest.raises(Reached):
        getattr(run, part)("validation")
