"""Scores of a split: every row once and in order, on one rank and gathered from several."""

import json

import numpy as np
import pytest
import torch

from tests.train.launch import finished, start_bare_ranks
from train.ctr import scoring
from train.ctr.scoring import collect
from train.distributed.ranks import Ranks

CPU = torch.device("cpu")
ALONE = Ranks(0, 1, 0, 1, CPU)


class Rows:
    """A stand-in for a batch: logits follow from the users."""

    def __init__(self, users: list[int], repeated: int = 0) -> None:
        self.users = torch.tensor(users)
        self.targets = self.users + 100
        self.labels = (self.users % 2).float()
        self.repeated = repeated

    def __len__(self) -> int:
        return self.users.numel()

    def to(self, device: torch.device) -> "Rows":
        return self


class Reader:
    def __init__(self, batches: list[Rows]) -> None:
        self.batches = batches

    def epoch(self, epoch: int):
        assert epoch == 0
        return iter(self.batches)


class Model(torch.nn.Module):
    def forward(self, rows: Rows):
        assert not self.training and not torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        logits = rows.users.float() / 10
        return logits.mean(), (logits.mean(), logits, rows.labels)


def test_every_row_once_in_order():
    counted = []
    scores = collect(Model(), Reader([Rows([5, 1, 2]), Rows([9]), Rows([4, 4])]), ALONE, counted.append)
    assert scores.users.tolist() == [5, 1, 2, 9, 4, 4] and scores.targets.tolist() == [105, 101, 102, 109, 104, 104]
    assert scores.labels.tolist() == [1, 1, 0, 1, 0, 0] and counted == [3, 1, 2]
    np.testing.assert_allclose(scores.logits, [0.5, 0.1, 0.2, 0.9, 0.4, 0.4], rtol=1e-6)


def test_repeated_rows_are_left_out():
    scores = collect(Model(), Reader([Rows([5, 1, 2], repeated=1), Rows([9])]), ALONE)
    assert scores.users.tolist() == [1, 2, 9] and scores.logits.size == scores.labels.size == 3


def test_the_model_is_put_to_evaluation():
    model = Model().train()
    collect(model, Reader([Rows([1])]), ALONE)
    assert not model.training


@pytest.mark.slow
def test_ranks_of_different_lengths_are_laid_end_to_end():
    ends = [finished(p) for p in start_bare_ranks(3, module="tests.train.ctr.test_scoring")]
    assert [e.status for e in ends] == [0, 0, 0], ends
    assert [json.loads(e.out) for e in ends] == [[[0, 0, 1, 10, 11, 20], "float32"], None, None]


def main() -> None:
    """One of three ranks: 3, 2 and 1 rows."""
    from train.config import ProcessConfig
    from train.distributed.process_group import process_group

    mine = [[0, 0, 1], [10, 11], [20]]
    with process_group(ProcessConfig(device="cpu", threads=1)) as ranks:
        scores = scoring.collect(Model(), Reader([Rows(mine[ranks.rank])]), ranks)
        print(json.dumps(None if scores is None else [scores.users.tolist(), str(scores.logits.dtype)]))


if __name__ == "__main__":
    main()
