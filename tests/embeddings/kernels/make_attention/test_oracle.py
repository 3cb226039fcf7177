"""The gradients that MAKE's tests rest on, against finite differences of the value that they rest on."""

import numpy as np
import pytest
import torch

from tests.embeddings.kernels.make_attention.cases import PARAMETERS, Case, expected, expected_gradients, random_case


@pytest.mark.parametrize("shared_by", [None, 5])
def test_gradients_are_finite_differences(shared_by: int | None) -> None:
    case = random_case(1, [3, 0, 4], 4, 3, dtype=torch.int8, shared_by=shared_by, before=1)
    case = Case(*(a.double() if i >= 6 else a for i, a in enumerate(case.arguments)))
    upstream = case.upstream().double().numpy()
    gradients, _ = expected_gradients(case, upstream)
    assert all(np.abs(g).max() > 0.1 for g in gradients)
    step = 1e-7
    for name, gradient in zip(PARAMETERS, gradients, strict=True):
        entries = getattr(case, name).view(-1)
        for i, wanted in enumerate(gradient.ravel()):
            values = []
            for shift in (step, -2 * step):
                entries[i] += shift
                values.append((expected(case)[0] * upstream).sum())
            entries[i] += step
            assert (values[0] - values[1]) / (2 * step) == pytest.approx(wanted, rel=1e-5, abs=1e-6), (name, i)


def test_a_value_by_hand() -> None:
    """One pair, q = (1, 0) and k = (0, 1), beside a missing behaviour."""
    case = Case(
        torch.eye(2),
        None,
        torch.tensor([0]),
        torch.tensor([1, -1]),
        torch.tensor([0, 2]),
        None,
        # over q0 q1, k0 k1, (q - k)0 (q - k)1, (q * k)0 (q * k)1
        torch.tensor([[1.0, 90, 90, 2, 3, 4, 90, 90], [-1.0, 90, 90, -2, -3, -4, 90, 90]]),
        torch.tensor([0.5, 0.25]),
        torch.tensor([90.0, 0.5]),
        torch.tensor([10.0, 4.0]),
    )
    # h = (1 + 2 + 3 - 4 + 0.5, -1 - 2 - 3 + 4 + 0.25) = (2.5, -1.75); a = 10 * 2.5 - 4 * 0.5 * 1.75 = 21.5
    assert expected(case)[0].tolist() == [[0.0, 21.5]]
