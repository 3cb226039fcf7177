"""InfoNCE and triplet loss against loops over numbers."""

import math

import pytest
import torch
from torch.nn import functional as F

from recsys.scl.losses import MAX_SCALE, Temperature, centred, info_nce, triplet
from recsys.scl.memory_bank import MemoryBank
from tests.recsys.scl import oracles


def unit(draw: torch.Generator, *size: int) -> torch.Tensor:
    return F.normalize(torch.randn(*size, generator=draw), dim=-1)


@pytest.mark.parametrize("rows", [0, 1, 5, 32])
@pytest.mark.parametrize("batch", [2, 7])
def test_info_nce_is_its_formula(batch: int, rows: int):
    draw = torch.Generator().manual_seed(batch + rows)
    queries, positives = unit(draw, batch, 6), unit(draw, batch, 6)
    items = torch.randint(0, 3, (batch,), generator=draw)
    bank, kept = None, []
    if rows:
        bank = MemoryBank(32, 6)
        vectors, of = unit(draw, rows, 6), torch.randint(0, 4, (rows,), generator=draw)
        bank.push(vectors, of)
        kept = [(v.half().double().tolist(), i) for v, i in zip(vectors, of.tolist(), strict=True)]
    losses = info_nce(queries, positives, items, torch.tensor(1 / 0.07), bank, keys=positives)
    wanted = oracles.info_nce(queries.tolist(), positives.tolist(), items.tolist(), 0.07, kept)
    assert losses.tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    keys = unit(draw, batch, 6)
    losses = info_nce(queries, positives, items, torch.tensor(1 / 0.07), bank, keys=keys)
    wanted = oracles.info_nce(queries.tolist(), positives.tolist(), items.tolist(), 0.07, kept, keys.tolist())
    assert losses.tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-5)


def test_leaving_the_place_where_the_bank_was_made_lowers_nothing():
    """Keys and rows of the bank that are moved together stay as far apart for the query as they were."""
    draw = torch.Generator().manual_seed(4)
    queries, positives, keys, rows = (unit(draw, n, 4) for n in (3, 3, 3, 8))
    items, away = torch.arange(3), torch.tensor([0.3, -0.2, 0.1, 0.4])
    losses = []
    for shift in (torch.zeros(4), away):
        bank = MemoryBank(8, 4)
        bank.push(rows + shift, torch.arange(3, 11))
        losses.append(info_nce(queries, positives, items, torch.tensor(5.0), bank, keys=keys + shift))
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-2, atol=1e-2)  # half precision in the bank
    unmoved = info_nce(queries, positives, items, torch.tensor(5.0), bank, keys=keys)
    assert (losses[0] - unmoved).abs().max() > 0.1


def test_a_drift_between_the_banks_step_and_this_one_lowers_nothing():
    """Keys that all lie to one side of those of the step before, the bank's, and queries that went there too."""
    draw = torch.Generator().manual_seed(4)
    queries, positives, keys, rows = (unit(draw, n, 4) for n in (3, 3, 3, 8))
    drift, items = torch.tensor([0.3, -0.2, 0.1, 0.4]), torch.arange(3)
    bank = MemoryBank(8, 4)
    bank.push(centred(rows), torch.arange(3, 11))
    losses = [
        info_nce(queries, positives, items, torch.tensor(5.0), bank, keys=centred(keys + shift))
        for shift in (torch.zeros(4), drift)
    ]
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(centred(keys).mean(0), torch.zeros(4))


def test_pairs_of_one_item_are_no_negatives_of_each_other():
    draw = torch.Generator().manual_seed(0)
    queries, positives = unit(draw, 4, 3), unit(draw, 4, 3)
    assert info_nce(queries, positives, torch.full((4,), 9), torch.tensor(14.0)).abs().max() < 1e-5


def test_gradients_are_those_of_the_formula_with_the_bank_as_a_constant():
    draw = torch.Generator().manual_seed(3)
    queries, positives = unit(draw, 5, 4).requires_grad_(), unit(draw, 5, 4).requires_grad_()
    log_scale = torch.tensor(2.0, requires_grad=True)
    items, of = torch.tensor([0, 1, 2, 2, 0]), torch.tensor([0, 1, 2, 3, 4, 5, 2])
    bank = MemoryBank(16, 4)
    bank.push(unit(draw, 7, 4), of)
    upstream = torch.rand(5, generator=draw)
    seen = unit(draw, 5, 4)
    losses = info_nce(queries, positives, items, log_scale.exp(), bank, keys=seen)
    (losses * upstream).sum().backward()
    losses = [queries.grad, positives.grad, log_scale.grad]

    q, p, s = (x.detach().double().requires_grad_() for x in (queries, positives, log_scale))
    keys = torch.cat([p, bank.queue[:7].double()])
    same = items[:, None] == torch.cat([items, of])[None, :]
    same[torch.arange(5), torch.arange(5)] = False
    logits = q @ keys.T
    logits[:, 5:] += (q * (p - seen.double())).sum(1, keepdim=True)
    logits = (logits * s.exp()).masked_fill(same, -math.inf)
    (F.cross_entropy(logits, torch.arange(5), reduction="none") * upstream.double()).sum().backward()
    for ours, theirs in zip(losses, (q.grad, p.grad, s.grad), strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-5)


def test_triplet_is_its_formula_for_the_rows_that_have_a_negative():
    draw = torch.Generator().manual_seed(1)
    queries, positives, negatives = unit(draw, 6, 5), unit(draw, 6, 5), unit(draw, 3, 5)
    rows = torch.tensor([1, 4, 5])
    losses = triplet(queries, positives, negatives, rows, 0.3)
    wanted = [
        oracles.triplet(queries[r].tolist(), positives[r].tolist(), n.tolist(), 0.3)
        for r, n in zip(rows.tolist(), negatives, strict=True)
    ]
    assert losses.tolist() == pytest.approx(wanted, abs=1e-6) and 0 < sum(w > 0 for w in wanted)
    assert triplet(queries, positives, negatives[:0], rows[:0], 0.3).sum() == 0


def test_temperature_is_learned_and_stays_in_its_bounds():
    temperature = Temperature(0.07)
    assert float(temperature().detach()) == pytest.approx(1 / 0.07)
    for wrong, right in ((9.0, MAX_SCALE), (-1.0, 1.0)):
        temperature.log_scale.data.fill_(wrong)
        temperature.clamp()
        assert float(temperature().detach()) == pytest.approx(right)
    temperature().backward()
    assert temperature.log_scale.grad is not None
