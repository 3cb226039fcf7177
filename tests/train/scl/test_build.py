"""Parts by their settings: learning rate, weight decay, bank, momentum encoder; running statistics of all ranks."""

import itertools
from types import SimpleNamespace

import pytest
import torch

from recsys.scl.encoders.build import build_encoder
from recsys.scl.towers import Towers
from tests.train.launch import finished, start_bare_ranks
from tests.train.scl import tiny
from train.config import load_settings
from train.distributed.ranks import Ranks
from train.scl import build, checkpoint_state, task
from train.scl.config import OptimizerConfig, SCLConfig
from train.scl.trainable import SCLTrainable

ALONE = Ranks(0, 1, 0, 1, torch.device("cpu"))


def trainable(**settings) -> SCLTrainable:
    image = {"size": 16, "channels": [4]}
    config = SCLConfig.model_validate(
        {"data": {"path": "none"}, "optimizer": settings.pop("optimizer", {}),
         "model": {"width": 4, "image": image, **settings}}
    )  # fmt: skip
    towers = Towers(build_encoder("image", config.model), None, 0.07)
    return build.build_trainable(config, towers, ALONE)


def test_the_learning_rate_rises_in_a_line_and_falls_as_a_cosine_to_nothing():
    config = OptimizerConfig(lr=0.8, warmup_steps=3)
    rates = [build.learning_rate(config, step, 11) for step in range(12)]
    assert rates[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert rates[7] == pytest.approx(0.4) and rates[11] == pytest.approx(0)
    assert all(a > b for a, b in itertools.pairwise(rates[3:]))
    assert build.learning_rate(OptimizerConfig(lr=0.8, warmup_steps=0), 0, 11) == pytest.approx(0.8)


def test_weights_decay_by_a_known_factor_without_a_gradient_and_biases_do_not():
    parts = trainable(optimizer={"lr": 0.1, "weight_decay": 0.5})
    before = {name: p.detach().clone() for name, p in parts.towers.named_parameters()}
    for parameter in parts.towers.parameters():
        parameter.grad = torch.zeros_like(parameter)
    parts.optimizer.step()
    for name, parameter in parts.towers.named_parameters():
        torch.testing.assert_close(parameter.detach(), before[name] * (0.95 if parameter.dim() > 1 else 1.0))


def test_the_bank_has_its_rows_and_keeps_items_as_the_config_says():
    for rows, distinct in ((12, False), (6, True)):
        bank = trainable(bank={"rows": rows, "distinct": distinct}).bank
        bank.push(torch.ones(4, 4), torch.tensor([1, 2, 2, 3]))
        assert bank.queue.shape == (rows, 4) and int(bank.filled.sum()) == (3 if distinct else 4)
    none = trainable(bank={"rows": 0})
    assert none.bank is None and none.momentum_encoder is None


@pytest.mark.parametrize("momentum", [0.0, 0.75])
def test_the_momentum_encoder_keeps_that_share_of_itself(momentum):
    parts = trainable(bank={"rows": 4, "momentum": momentum})
    with torch.no_grad():
        for parameter in parts.towers.parameters():
            parameter += 1
    parts.momentum_encoder.ema_update(parts.towers)
    for own, theirs in zip(parts.momentum_encoder.towers.parameters(), parts.towers.parameters(), strict=True):
        torch.testing.assert_close(theirs.detach() - own, torch.full_like(own, momentum), atol=1e-5, rtol=0)


def test_the_vocabulary_has_at_most_as_many_pieces_as_the_config_says(tmp_path, ranks, monkeypatch):
    wanted, train = [], build.train_tokenizer
    monkeypatch.setattr(build, "train_tokenizer", lambda texts, size: (wanted.append(size), train(texts, size))[1])
    config = tiny.write_config(tmp_path, tiny.make_pairs(tmp_path / "texts", "text", "text"))
    task.SCLTask(load_settings(SCLConfig, str(config), ("model.text.vocabulary=123",)), ranks)
    assert wanted == [123]


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
