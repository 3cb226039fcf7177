"""What the settings of the optimizers do to weights, on tables that are fused and on replicated ones."""

import pytest
import torch

from tests.train.ctr.in_process import QUIET, build_task, first_change, weights

pytestmark = QUIET
PLANS = {"fused": "sharding.sharding_types=[table_wise]", "replicated": "sharding.sharding_types=[data_parallel]"}
PLAIN = ("model.dropout=0", "train.warmup_steps=0", "train.clip_grad_norm=null")
SGD = ("sparse_optimizer.name=sgd", "sparse_optimizer.lr=10")
DENSE, TABLES = "dense.", "sparse."


@pytest.fixture
def task(config, ranks):
    """Builds the task of the small config with overrides."""
    return lambda *overrides: build_task(config(), ranks, *PLAIN, *overrides)


@pytest.fixture(params=PLANS)
def plan(request) -> str:
    """A plan that fuses the tables' optimizer into the backward, and one that leaves it to torch."""
    return PLANS[request.param]


def gradients(task, value: float) -> dict[str, torch.Tensor]:
    """Give every parameter that torch's optimizers step ``value`` as its gradient; the gradients."""
    parts = {name: part for name, part in task.trainable.optimizer.optimizers if name != "fused"}
    parameters = {k: p for part in parts.values() for k, p in part.params.items() if "__warmup" not in k}
    for parameter in parameters.values():
        parameter.grad = torch.full_like(parameter, value)
    return {name: p.grad for name, p in parameters.items()}


def stepped(task, value: float) -> tuple[dict, dict]:
    """Weights before and after a step with ``value`` as every gradient; of tables, the replicated ones."""
    before = weights(task)
    gradients(task, value)
    task.trainable.optimizer.step()
    after = weights(task)
    return before, {name: after[name] for name in before}


def of(change: dict, part: str) -> dict:
    chosen = {name: value for name, value in change.items() if name.startswith(part)}
    assert chosen and all(value.any() for value in chosen.values()), "everything learns"
    return chosen


def assert_times(change: dict, factor: float, other: dict) -> None:
    for name, value in change.items():
        torch.testing.assert_close(value, factor * other[name], rtol=2e-3, atol=2e-7 * max(1.0, factor))


def test_learning_rates_are_of_their_parts(task, plan):
    one = first_change(task(plan, *SGD, "dense_optimizer.lr=0.001"))
    other = first_change(task(plan, "sparse_optimizer.name=sgd", "sparse_optimizer.lr=30", "dense_optimizer.lr=0.002"))
    assert_times(of(other, TABLES), 3, one)
    assert_times(of(other, DENSE), 2, one)


def test_the_first_step_of_a_warm_up_is_one_of_its_length_and_one(task, plan):
    cold, warm = first_change(task(plan, *SGD)), first_change(task(plan, *SGD, "train.warmup_steps=4"))
    assert_times(of(cold, TABLES), 5, warm)
    assert_times(of(cold, DENSE), 5, warm)


def test_both_learning_rates_rise_in_a_line_and_stay(task):
    """Gradients of 1 move weights by the rate: SGD always, AdamW where they are always the same."""
    rates = task(PLANS["replicated"], "sparse_optimizer.name=sgd", "sparse_optimizer.lr=0.5",
                 "dense_optimizer.lr=0.25", "train.warmup_steps=3")  # fmt: skip
    for share in (0.25, 0.5, 0.75, 1.0, 1.0):
        before, after = stepped(rates, 1.0)
        for name, value in before.items():
            moved = torch.full_like(value, share * (0.5 if name.startswith(TABLES) else 0.25))
            torch.testing.assert_close(value - after[name], moved, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["rowwise_adagrad", "adagrad"])
def test_tables_optimizers_are_adagrads_formula(task, plan, name):
    """From SGD's step, which tells the gradient g: g over the root of its square, or of a row's mean square, + eps."""
    gradient = {k: -v / 10 for k, v in of(first_change(task(plan, *SGD)), TABLES).items()}
    change = first_change(task(plan, f"sparse_optimizer.name={name}", "sparse_optimizer.lr=0.5",
                               "sparse_optimizer.eps=1e-4"))  # fmt: skip
    for table, g in gradient.items():
        square = g.square().mean(1, keepdim=True) if name == "rowwise_adagrad" else g.square()
        wanted = -0.5 * g / (square.sqrt() + 1e-4)
        torch.testing.assert_close(change[table], wanted, rtol=0.05, atol=2e-3)
        without = -0.5 * g / square.sqrt().clamp(min=1e-12)
        assert (without - wanted).abs().max() > 0.05, "eps is of the gradients' size here"


def test_eps_of_the_dense_optimizer_is_in_the_denominator(task):
    for eps in (1.0, 3.0):
        before, after = stepped(task(f"dense_optimizer.eps={eps}", "dense_optimizer.lr=0.1"), 1.0)
        for name in (n for n in before if n.startswith(DENSE)):
            moved = torch.full_like(before[name], 0.1 / (1 + eps))
            torch.testing.assert_close(before[name] - after[name], moved, rtol=1e-4, atol=1e-6)


def test_dense_weights_decay_by_a_known_factor_without_a_gradient(task):
    before, after = stepped(
        task(PLANS["replicated"], "dense_optimizer.weight_decay=0.5", "dense_optimizer.lr=0.1"), 0.0
    )
    for name, value in before.items():
        torch.testing.assert_close(after[name], value * (0.95 if name.startswith(DENSE) else 1.0))


@pytest.mark.parametrize(("clip", "norm"), [("2.5", 2.5), ("1000000", None), ("null", None)])
def test_dense_gradients_are_clipped_to_their_norm_together(task, clip, norm):
    clipped = task(PLANS["replicated"], f"train.clip_grad_norm={clip}")
    given = gradients(clipped, 3.0)
    dense = {name: g for name, g in given.items() if not name.startswith(TABLES)}
    count = sum(g.numel() for g in dense.values())
    clipped.trainable.optimizer.step()
    left = torch.cat([g.flatten() for g in dense.values()])
    assert float(left.norm()) == pytest.approx(norm or 3 * count**0.5, rel=1e-4)
    tables = [g for name, g in given.items() if name.startswith(TABLES)]
    assert tables and all((g == 3).all() for g in tables), "of the tables nothing is clipped"
