"""The comparisons that MAKE's tests rest on reject these wrong versions, and accept the right one."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.embeddings.kernels.make_attention.cases import PARAMETERS, Case, agrees, gradients_agree, random_case

CASES = [
    random_case(1, [7, 0, 12, 5], 8, 10),
    random_case(2, [7, 3, 12], 8, 7, dtype=torch.int8, shared_by=6, before=4, after=3),
    random_case(3, [30] * 8, 6, 5, rows=12),
]


def _pairs(case: Case, wrong: str) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Target's place, query and key of each pair, with one thing ``wrong``."""
    raw, right = case.table.double().numpy(), case.dequantised()
    of_query = raw if wrong == "target's scale forgotten" else right
    of_key = raw if wrong == "behaviour's scale forgotten" else right
    begin = case.offsets - case.offsets[0] if wrong == "offsets taken to start at 0" else case.offsets
    shared = case.bag_index is not None and wrong != "bag_index ignored"
    answered = set()
    for b, target in enumerate(case.target_rows.tolist()):
        u = int(case.bag_index[b]) if shared else min(b, len(begin) - 2)
        bag = case.history_rows[begin[u] : begin[u + 1]].tolist()
        bag = {"last behaviour dropped": bag[:-1], "each item once": sorted(set(bag))}.get(wrong, bag)
        if wrong == "not summed over the targets of a bag" and u in answered:
            continue
        answered.add(u)
        for row in bag:
            if target == -1 and wrong != "missing target not zero":
                continue
            if row == -1 and wrong != "missing behaviour counted":
                continue
            yield b, of_query[target], of_key[row]


def _hidden(case: Case, wrong: str, q: np.ndarray, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A pair's features and hidden units."""
    difference = {"k - q": k - q, "q + k": q + k, "difference missing": 0 * q}.get(wrong, q - k)
    product = {"product missing": 0 * q, "product of q with itself": q * q}.get(wrong, q * k)
    first, second = (k, q) if wrong == "q and k exchanged" else (q, k)
    features = np.concatenate([first, second, difference, product])
    weight, bias = case.weight.double().numpy(), case.bias.double().numpy()
    return features, weight @ features + (0 if wrong == "bias missing" else bias)


def _attend(wrong: str, case: Case) -> torch.Tensor:
    slope, score = case.slope.double().numpy(), case.score.double().numpy()
    relevance: list[list[float]] = [[] for _ in case.target_rows]
    keys: list[list[np.ndarray]] = [[] for _ in case.target_rows]
    for b, q, k in _pairs(case, wrong):
        _, h = _hidden(case, wrong, q, k)
        side = h < 0 if wrong == "slope where positive" else h > 0
        active = {"relu": np.maximum(h, 0), "one slope": np.where(h > 0, h, slope[0] * h), "linear": h}
        relevance[b].append(float(active.get(wrong, np.where(side, h, slope * h)) @ score))
        keys[b].append(q if wrong == "queries pooled" else k)
    value = np.zeros((len(keys), case.table.shape[1]))
    for b, weights in enumerate(relevance):
        if weights:
            a = np.array(weights)
            if wrong == "softmax":
                a = np.exp(a - a.max())
                a /= a.sum()
            value[b] = a @ np.array(keys[b]) / (len(a) if wrong == "mean" else 1)
    return torch.from_numpy(value).to(torch.float64 if wrong == "float64" else torch.float32)


def _gradients(wrong: str, upstream: torch.Tensor, case: Case) -> list[torch.Tensor]:
    slope, score = case.slope.double().numpy(), case.score.double().numpy()
    of_weight, of_bias, of_slope, of_score = (getattr(case, name).double().numpy() * 0 for name in PARAMETERS)
    given = np.ones(upstream.shape) if wrong == "all ones from above" else upstream.double().numpy()
    for b, q, k in _pairs(case, wrong):
        features, h = _hidden(case, wrong, q, k)
        above = given[b] @ (q if wrong == "q for k in the pooling" else k)
        side = {"slope where positive": h < 0, "no slope": h == h, "slope everywhere": h != h}.get(wrong, h > 0)
        of_hidden = above * np.where(side, 1, slope)
        of_hidden = of_hidden if wrong == "hidden without score" else of_hidden * score
        of_weight += np.outer(of_hidden, features)
        of_bias += of_hidden
        of_slope += above * {"slope also where positive": h}.get(wrong, np.minimum(h, 0))
        of_score += above * {"score before prelu": h}.get(wrong, np.where(h > 0, h, slope * h))
    if wrong != "slope without score":
        of_slope *= score
    width = case.table.shape[1]
    a, b, c, d = (of_weight[:, i * width : (i + 1) * width] for i in range(4))
    of_weight = np.concatenate(
        {"C's part missing": [a, b, 0 * c, d], "C's sign": [a, b, -c, d], "A and B exchanged": [b, a, c, d]}.get(
            wrong, [a, b, c, b if wrong == "D's part without q" else d]
        ),
        axis=1,
    )
    of_bias = of_bias * (wrong != "bias gradient missing")
    return [torch.from_numpy(g).float() for g in (of_weight, of_bias, of_slope, of_score)]


OF_PAIRS = [
    "target's scale forgotten",
    "behaviour's scale forgotten",
    "offsets taken to start at 0",
    "bag_index ignored",
    "last behaviour dropped",
    "each item once",
    "not summed over the targets of a bag",
    "missing target not zero",
    "missing behaviour counted",
    "k - q",
    "q + k",
    "difference missing",
    "product missing",
    "product of q with itself",
    "q and k exchanged",
    "bias missing",
    "slope where positive",
]
OF_VALUE = ["relu", "one slope", "linear", "queries pooled", "softmax", "mean", "float64"]
OF_GRADIENTS = [
    "all ones from above",
    "q for k in the pooling",
    "no slope",
    "slope everywhere",
    "hidden without score",
    "slope also where positive",
    "score before prelu",
    "slope without score",
    "bias gradient missing",
    "C's part missing",
    "C's sign",
    "A and B exchanged",
    "D's part without q",
]


@pytest.mark.parametrize("wrong", OF_PAIRS + OF_VALUE)
def test_wrong_values_are_rejected(wrong: str) -> None:
    assert not all(agrees(lambda *arguments: _attend(wrong, Case(*arguments)), case) for case in CASES)


@pytest.mark.parametrize("wrong", OF_PAIRS + OF_GRADIENTS)
def test_wrong_gradients_are_rejected(wrong: str) -> None:
    assert not all(gradients_agree(lambda g, *a: _gradients(wrong, g, Case(*a)), case) for case in CASES)


def test_the_right_variant_is_accepted() -> None:
    assert all(agrees(lambda *arguments: _attend("nothing", Case(*arguments)), case) for case in CASES)
    assert all(gradients_agree(lambda g, *a: _gradients("nothing", g, Case(*a)), case) for case in CASES)


def test_wrong_shapes_and_numbers_are_rejected() -> None:
    case = CASES[0]
    right = _attend("nothing", case)
    for value in (right[:-1], right.t(), right * torch.nan, right * 1.0001, right.bfloat16().float(), right + 1e-3):
        assert not agrees(lambda *_, value=value: value, case)
    no_bags = replace(case, target_rows=case.target_rows[:0], offsets=case.offsets[:1])
    assert agrees(lambda *_: torch.zeros(0, 8), no_bags) and not agrees(lambda *_: torch.zeros(1, 8), no_bags)
