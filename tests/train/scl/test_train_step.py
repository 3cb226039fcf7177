"""The momentum encoder through steps of training, on one rank and on two that see other pictures."""

import pytest
import torch

from tests.train.launch import finished, start_bare_ranks
from tests.train.scl.steps import EPOCHS, PAIRS


@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_it_stays_with_the_trained_one_while_the_bank_waits_and_then_follows(tmp_path, ranks):
    for done in map(finished, start_bare_ranks(ranks, tmp_path, module="tests.train.scl.steps")):
        assert done.status == 0, done.err
    results = [torch.load(tmp_path / f"{rank}.pt") for rank in range(ranks)]
    for rank in results:
        for number, epoch in enumerate(EPOCHS):
            trained, momentum_encoder = rank["steps"][number]
            earlier = rank["steps"][number - 1][1]
            for name, value in momentum_encoder.items():
                wanted = trained[name]
                if epoch and wanted.is_floating_point():
                    wanted = 0.75 * earlier[name] + 0.25 * wanted
                torch.testing.assert_close(value, wanted, rtol=1e-5, atol=1e-6)
        assert rank["filled"] == EPOCHS.count(1) * PAIRS, "what a step of the waiting time made is not kept"
    for (_, one), (_, other) in zip(results[0]["steps"], results[-1]["steps"], strict=True):
        for name, value in one.items():
            assert torch.equal(value, other[name]), "the ranks have one momentum encoder"
