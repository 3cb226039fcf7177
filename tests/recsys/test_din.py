"""DIN's target attention against the paper's formula, one example at a time."""

import pytest
import torch

from recsys.din import TargetAttention, bag_of


def unit(width: int, hidden: list[int], seed: int = 0) -> TargetAttention:
    torch.manual_seed(seed)
    return TargetAttention(width, hidden).double()


def by_the_paper(unit: TargetAttention, target, behaviours, lengths) -> torch.Tensor:
    """Eq. 3: sum over behaviours k of a([q; k; q - k; q * k]) k, with a first layer on all four parts.

    The unit's weights A on q and B, D on [k; q * k] are spread over four blocks W_q + W_diff = A, W_k - W_diff = B,
    with an arbitrary W_diff: any such first layer is the same function.
    """
    width = target.shape[1]
    diff = torch.randn(unit.query.weight.shape, dtype=torch.float64)
    in_key, in_product = unit.pair.weight[:, :width], unit.pair.weight[:, width:]
    first = torch.cat([unit.query.weight - diff, in_key + diff, diff, in_product], dim=1)
    linears = [layer for layer in unit.score if isinstance(layer, torch.nn.Linear)]
    result, start = [], 0
    for q, length in zip(target, lengths.tolist(), strict=True):
        total = torch.zeros(width, dtype=torch.float64)
        for k in behaviours[start : start + length]:
            hidden = first @ torch.cat([q, k, q - k, q * k]) + unit.query.bias
            for linear in linears:
                hidden = linear.weight @ (hidden * torch.sigmoid(hidden)) + linear.bias
            total = total + hidden * k
        result.append(total)
        start += length
    return torch.stack(result)


CASES = [[3, 0, 1, 5], [0, 0, 0], [1], [0], [1, 1, 1], [40]]


@pytest.mark.parametrize("hidden", [[6], [7, 3]])
@pytest.mark.parametrize("lengths", CASES)
def test_equals_the_papers_formula(lengths, hidden):
    attention, lengths = unit(5, hidden), torch.tensor(lengths)
    target, behaviours = torch.randn(len(lengths), 5).double(), torch.randn(int(lengths.sum()), 5).double()
    found = attention(target, behaviours, lengths)
    torch.testing.assert_close(found, by_the_paper(attention, target, behaviours, lengths), rtol=1e-10, atol=1e-12)
    assert (found[lengths == 0] == 0).all()


def test_gradients():
    attention, lengths = unit(3, [4]), torch.tensor([2, 0, 1, 3])
    target = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    behaviours = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    names, values = zip(*attention.named_parameters(), strict=True)

    def pooled(target, behaviours, *values):
        return torch.func.functional_call(
            attention, dict(zip(names, values, strict=True)), (target, behaviours, lengths)
        )

    assert torch.autograd.gradcheck(pooled, (target, behaviours, *values))


def test_bags_do_not_touch_each_other():
    attention, lengths = unit(4, [4]), torch.tensor([2, 3])
    target, behaviours = torch.randn(2, 4).double(), torch.randn(5, 4).double()
    before = attention(target, behaviours, lengths)
    behaviours[2:] = torch.nan
    torch.testing.assert_close(attention(target, behaviours, lengths)[0], before[0])


def test_bag_of():
    assert bag_of(torch.tensor([2, 0, 1]), 3).tolist() == [0, 0, 2]
    assert bag_of(torch.tensor([], dtype=torch.int64), 0).tolist() == []
