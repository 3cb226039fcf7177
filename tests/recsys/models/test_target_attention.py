"""DIN's target attention against the paper's formula, one example at a time."""

import pytest
import torch

from embeddings.kernels.target_attention.op import target_attention
from recsys.models import target_attention as module
from recsys.models.target_attention import TargetAttention, segment_ids

pytestmark = pytest.mark.filterwarnings("ignore:SimTier and attention run as plain torch")  # where nothing is built


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
    pooled = attention(target, behaviours, lengths)
    torch.testing.assert_close(pooled, by_the_paper(attention, target, behaviours, lengths), rtol=1e-10, atol=1e-12)
    assert (pooled[lengths == 0] == 0).all()


@pytest.mark.parametrize(("lengths", "bags"), [([3, 0, 5], [2, 0, 0, 1, 2]), ([4], [0] * 6), ([2, 1], []), ([], [])])
@pytest.mark.parametrize("modalities", [0, 2])
def test_targets_that_share_a_bag_are_those_that_have_a_copy_of_it(lengths, bags, modalities):
    torch.manual_seed(0)
    attention = TargetAttention(5, [6], modalities).double()
    if modalities:
        torch.nn.init.normal_(attention.gamma)
    parts = [torch.randn(n, 5).double() for n in lengths] or [torch.zeros(0, 5).double()]
    target, copies = torch.randn(len(bags), 5).double(), [parts[bag] for bag in bags]
    spread = torch.cat([torch.zeros(0, 5).double(), *copies])
    cosines = torch.rand(spread.shape[0], modalities).double() if modalities else None
    wanted = attention(target, spread, torch.tensor([len(c) for c in copies], dtype=torch.long), cosines)
    bag_index = torch.tensor(bags, dtype=torch.long)
    got = attention(target, torch.cat(parts), torch.tensor(lengths, dtype=torch.long), cosines, bag_index)
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)


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


def test_segment_ids():
    assert segment_ids(torch.tensor([2, 0, 1]), 3).tolist() == [0, 0, 2]
    assert segment_ids(torch.tensor([], dtype=torch.int64), 0).tolist() == []


def test_semantic_attention_mixes_cosines_into_the_weights():
    """MUSE's formula for each behaviour, with and without the softmax that it has and DIN has not."""
    lengths, width = torch.tensor([3, 0, 1, 5]), 4
    target, behaviours = torch.randn(4, width).double(), torch.randn(9, width).double()
    cosines = torch.rand(9, 2).double() * 2 - 1
    for softmax in (False, True):
        mixed = TargetAttention(width, [6], modalities=2, softmax=softmax).double()
        plain = TargetAttention(width, [6]).double()
        plain.load_state_dict({k: v for k, v in mixed.state_dict().items() if k != "gamma"})
        with torch.no_grad():
            mixed.gamma.copy_(torch.tensor([0.7, -0.4, 0.3, 1.2, -0.8]))
        pooled = mixed(target, behaviours, lengths, cosines)
        one, start = torch.ones(1, dtype=torch.int64), 0
        for b, length in enumerate(lengths.tolist()):
            weights = []
            for i in range(start, start + length):
                k = behaviours[i]
                alpha = (plain(target[b : b + 1], k[None], one)[0] @ k) / (k @ k)  # one behaviour's own weight
                r, s = cosines[i]
                weights.append(0.7 * alpha - 0.4 * r + 0.3 * s + 1.2 * alpha * r - 0.8 * alpha * s)
            weights = torch.stack(weights) if weights else torch.zeros(0, dtype=torch.float64)
            weights = weights.softmax(0) if softmax else weights
            wanted = (weights[:, None] * behaviours[start : start + length]).sum(0)
            # softmax runs in float32, as under autocast it must not run in bfloat16
            torch.testing.assert_close(pooled[b], wanted, rtol=1e-5 if softmax else 1e-10, atol=1e-6)
            start += length


def test_semantic_attention_begins_as_plain_attention_and_learns_its_gammas():
    lengths = torch.tensor([3, 0, 2])
    mixed, plain = TargetAttention(4, [6], modalities=1), TargetAttention(4, [6])
    plain.load_state_dict({k: v for k, v in mixed.state_dict().items() if k != "gamma"})
    target, behaviours, cosines = torch.randn(3, 4), torch.randn(5, 4), torch.rand(5, 1)
    pooled = mixed(target, behaviours, lengths, cosines)
    assert torch.equal(pooled, plain(target, behaviours, lengths))
    pooled.square().sum().backward()
    assert (mixed.gamma.grad != 0).all()


def test_softmax_of_large_scores_is_finite():
    attention = TargetAttention(2, [3], softmax=True)
    attention.score[-1].bias.data.fill_(1e4)
    behaviours = torch.randn(4, 2)
    pooled = attention(torch.randn(3, 2), behaviours, torch.tensor([3, 0, 1]))
    assert pooled.isfinite().all() and (pooled[1] == 0).all()
    torch.testing.assert_close(pooled[2], behaviours[3])  # the weights of a bag sum to one


def shared_bags(modalities: int, dtype: torch.dtype = torch.float32) -> tuple[dict, dict]:
    """Five targets that share three bags, and the same with a bag each."""
    draw = torch.Generator().manual_seed(3)
    lengths, bag_index = torch.tensor([4, 0, 7]), torch.tensor([2, 0, 2, 1, 0])
    behaviours = torch.randn(11, 6, generator=draw, dtype=dtype)
    target = torch.randn(5, 6, generator=draw, dtype=dtype)
    cosines = torch.rand(22, modalities, generator=draw, dtype=dtype) if modalities else None
    bags = behaviours.split(lengths.tolist())
    spread_out = torch.cat([bags[u] for u in bag_index.tolist()])
    alone = dict(target=target, behaviours=spread_out, lengths=lengths[bag_index], cosines=cosines)
    return dict(target=target, behaviours=behaviours, lengths=lengths, cosines=cosines, bag_index=bag_index), alone


@pytest.mark.parametrize(("modalities", "softmax"), [(0, False), (2, False), (0, True), (1, True)])
@pytest.mark.parametrize("hidden", [[6], [7, 3]])
def test_shared_bags_are_as_spread_out_ones(modalities: int, softmax: bool, hidden: list[int]):
    torch.manual_seed(0)
    attention = TargetAttention(6, hidden, modalities, softmax)
    if attention.gamma is not None:
        torch.nn.init.normal_(attention.gamma)
    shared, alone = shared_bags(modalities)
    with_gradients = attention(**shared)
    assert torch.equal(with_gradients, attention(**alone))
    with torch.no_grad():
        torch.testing.assert_close(attention(**shared), with_gradients, rtol=1e-5, atol=1e-6)
    with_gradients.sum().backward()
    assert all(parameter.grad is not None for parameter in attention.parameters())


def test_the_op_is_taken_where_no_gradient_is_wanted(monkeypatch):
    """By evaluations and requests alike; not in other dtypes, nor under autocast."""
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return target_attention(*arguments)

    monkeypatch.setattr(module, "target_attention", counted)
    attention = TargetAttention(6, [5])
    shared, alone = shared_bags(0)
    attention(**shared)
    with torch.no_grad():
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert attention(**shared).dtype == torch.float32
        doubles, _ = shared_bags(0, torch.float64)
        TargetAttention(6, [5]).double()(**doubles)
        assert not calls
        attention(**shared)
        attention(**alone)
        assert len(calls) == 2
    with torch.inference_mode():
        attention(**shared)
    assert len(calls) == 3
