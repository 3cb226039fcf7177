"""The comparison that target attention's tests rest on rejects these wrong versions, and accepts the right one."""

import numpy as np
import pytest
import torch

from tests.embeddings.kernels.target_attention.cases import Case, agrees, float64, random_case, silu

CASES = [
    random_case(1, [7, 0, 12, 5], 8, [10]),
    random_case(2, [7, 3, 12], 8, [7, 4], shared_by=6, before=4, after=3),
    random_case(3, [7, 3, 12], 8, [7, 4], shared_by=6, modalities=2, before=1),
    random_case(4, [7, 9], 6, [5], modalities=1, softmax=True, before=2),
    random_case(5, [6, 8], 6, [5], shared_by=5, softmax=True),
]


def _active(wrong: str, x: np.ndarray) -> np.ndarray:
    if wrong == "a coarse exp":
        return x / (1 + np.exp(-x) * (1 + 1e-4))
    others = {"relu": np.maximum(x, 0), "sigmoid": 1 / (1 + np.exp(-x)), "linear": x, "exp of +x": x / (1 + np.exp(x))}
    return others.get(wrong, silu(x))


def _first(wrong: str, case: Case, q: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Units of the first layer, [L, H]."""
    product = {"product missing": 0 * keys, "product of k with itself": keys * keys}.get(wrong, keys * q)
    parts = [product, keys] if wrong == "k and product exchanged" else [keys, product]
    if wrong == "k missing":
        parts[0] = 0 * keys
    of_query = 0 if wrong == "query missing" else float64(case.query) @ q
    bias = 0 if wrong == "query's bias missing" else float64(case.query_bias)
    return np.concatenate(parts, axis=1) @ float64(case.pair).T + of_query + bias


def _mixed(wrong: str, case: Case, alpha: np.ndarray, place: int) -> np.ndarray:
    r, gamma = float64(case.cosines[place : place + len(alpha)]), float64(case.gamma)
    own, of_cosines, of_products = gamma[0], *np.split(gamma[1:], 2)
    if wrong == "gamma2 and gamma3 exchanged":
        of_cosines, of_products = of_products, of_cosines
    if wrong == "modalities exchanged":
        r = r[:, ::-1]
    products = {"product without alpha": r @ of_products, "no gamma3": 0 * alpha}.get(wrong, alpha * (r @ of_products))
    return (1 if wrong == "no gamma1" else own) * alpha + r @ of_cosines * (wrong != "no gamma2") + products


def _softened(wrong: str, case: Case, alpha: np.ndarray) -> np.ndarray:
    if wrong == "softmax of too many":
        alpha = np.append(alpha, 0.0)
    powers = np.exp(alpha)
    return (powers / powers.sum() if wrong != "exp without its sum" else powers)[
        : len(powers) - (wrong == "softmax of too many")
    ]


def _attend(wrong: str, case: Case) -> torch.Tensor:
    value, seen = np.zeros(case.target.shape), set()
    for b, (begin, end, place) in enumerate(case.bags()):
        if wrong == "offsets taken to start at 0":
            begin, end = begin - int(case.offsets[0]), end - int(case.offsets[0])
        if wrong == "bag_index ignored" and case.bag_index is not None:
            begin, end = case.offsets[min(b, len(case.offsets) - 2) :][:2].tolist()
        if wrong == "cosines as the behaviours lie" and case.cosines is not None:
            place = min(begin, len(case.cosines) - (end - begin))
        if wrong == "cosines target after target" and case.cosines is not None and case.bag_index is None:
            place -= int(case.offsets[0])
        if wrong == "a bag answers one target" and (begin, end) in seen:
            continue
        seen.add((begin, end))
        end -= wrong == "last behaviour dropped" and end > begin
        q, keys = float64(case.target[b]), float64(case.behaviours[begin:end])
        if not len(keys):
            continue
        hidden = _first(wrong, case, q, keys)
        for i, (weight, bias) in enumerate(zip(case.weights, case.biases, strict=True)):
            active = hidden if wrong == "no silu between layers" and i > 0 else _active(wrong, hidden)
            last = i == len(case.weights) - 1
            dropped = wrong == "score's bias missing" if last else wrong == "a layer's bias missing"
            hidden = active @ float64(weight).T + float64(bias) * (not dropped)
        alpha = hidden[:, 0]
        if case.cosines is not None and wrong != "gammas ignored" and place + len(keys) <= len(case.cosines):
            alpha = _mixed(wrong, case, alpha, place)
        if case.softmax != (wrong == "softmax exchanged"):
            alpha = _softened(wrong, case, alpha)
        value[b] = alpha @ (np.tile(q, (len(keys), 1)) if wrong == "queries pooled" else keys)
        if wrong == "mean":
            value[b] /= len(keys)
    return torch.from_numpy(value).to(torch.float64 if wrong == "float64" else torch.float32)


WRONG = [
    "a coarse exp",
    "relu",
    "sigmoid",
    "linear",
    "exp of +x",
    "product missing",
    "product of k with itself",
    "k and product exchanged",
    "k missing",
    "query missing",
    "query's bias missing",
    "gamma2 and gamma3 exchanged",
    "modalities exchanged",
    "product without alpha",
    "no gamma1",
    "no gamma2",
    "no gamma3",
    "softmax of too many",
    "exp without its sum",
    "offsets taken to start at 0",
    "bag_index ignored",
    "cosines as the behaviours lie",
    "cosines target after target",
    "a bag answers one target",
    "last behaviour dropped",
    "no silu between layers",
    "score's bias missing",
    "a layer's bias missing",
    "gammas ignored",
    "softmax exchanged",
    "queries pooled",
    "mean",
    "float64",
]


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_values_are_rejected(wrong: str) -> None:
    assert not all(agrees(lambda *arguments: _attend(wrong, Case(*arguments)), case) for case in CASES)


def test_the_right_variant_is_accepted() -> None:
    assert all(agrees(lambda *arguments: _attend("nothing", Case(*arguments)), case) for case in CASES)


def test_wrong_shapes_and_numbers_are_rejected() -> None:
    case = CASES[0]
    right = _attend("nothing", case)
    for value in (right[:-1], right.t(), right * torch.nan, right * 1.0001, right.bfloat16().float(), right + 1e-3):
        assert not agrees(lambda *_, value=value: value, case)
