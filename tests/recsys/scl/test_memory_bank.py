"""The memory bank: the newest rows, and a log-sum-exp over the ranks' shares that is that of all rows."""

import json
import math

import pytest
import torch

from embeddings.errors import InputError
from recsys.scl import memory_bank as module
from recsys.scl.memory_bank import MemoryBank
from tests.train.launch import finished, start_bare_ranks


def test_keeps_the_newest_rows():
    bank = MemoryBank(5, 2)
    bank.push(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64))
    assert not bank.filled.any()
    for first in range(0, 9, 3):
        some = torch.arange(first, first + 3)
        bank.push(some[:, None].expand(3, 2).float(), some)
    assert sorted(bank.items.tolist()) == [4, 5, 6, 7, 8] and int(bank.queue_ptr) == 9 % 5
    assert bank.queue[:, 0].tolist() == bank.items.tolist() and bank.queue.dtype == torch.float16
    bank.push(torch.arange(20.0)[:, None].expand(20, 2), torch.arange(20))  # more than it holds
    assert sorted(bank.items.tolist()) == [15, 16, 17, 18, 19]


def test_distinct_keeps_the_newest_row_of_an_item_and_none_of_the_step():
    bank = MemoryBank(8, 1, distinct=True)
    for vectors, items in (([1.0, 2.0, 3.0], [5, 6, 5]), ([4.0, 5.0], [6, 7])):
        bank.push(torch.tensor(vectors)[:, None], torch.tensor(items))
    left = zip(bank.items[bank.filled].tolist(), bank.queue[bank.filled, 0].tolist(), strict=True)
    assert sorted(left) == [(5, 3.0), (6, 4.0), (7, 5.0)]
    log_sums = bank.logsumexp(torch.tensor([[1.0], [2.0]]), torch.tensor([9, 6]))
    assert log_sums.tolist() == pytest.approx([5 + math.log1p(math.exp(-2)), 10 + math.log1p(math.exp(-4))])


def test_an_empty_bank_and_one_of_the_query_s_own_item_say_nothing():
    bank = MemoryBank(4, 3)
    query = torch.randn(2, 3, requires_grad=True)
    items = torch.tensor([7, 8])
    assert bank.logsumexp(query, items).tolist() == [-torch.inf] * 2
    bank.push(torch.randn(4, 3), torch.tensor([7, 7, 7, 7]))
    log_sums = bank.logsumexp(query, items)
    assert log_sums[0] == -torch.inf and log_sums[1].isfinite()
    torch.logaddexp(torch.zeros(2), log_sums).sum().backward()
    assert query.grad is not None and query.grad.isfinite().all() and query.grad[0].abs().sum() == 0


def test_chunks_change_nothing(monkeypatch):
    draw = torch.Generator().manual_seed(0)
    bank = MemoryBank(100, 8)
    bank.push(torch.randn(70, 8, generator=draw), torch.randint(0, 5, (70,), generator=draw))
    query, items = torch.randn(6, 8, generator=draw, requires_grad=True), torch.arange(6)
    results = []
    for chunk in (8192, 7):
        monkeypatch.setattr(module, "_CHUNK", chunk)
        query.grad = None
        log_sums = bank.logsumexp(query, items)
        log_sums.sum().backward()
        results.append((log_sums.detach(), query.grad))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_rows_that_ranks_cannot_share_are_refused():
    class Group:
        def size(self) -> int:
            return 3

    with pytest.raises(InputError, match=r"model\.bank\.rows is 100; allowed: multiples of the 3 ranks"):
        MemoryBank(100, 4, Group())  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [(), ("distinct",)])
def test_ranks_together_are_one(tmp_path, kind):
    """Loss and every gradient of two ranks with half of the bank each, against one rank with all of it."""
    for done in map(finished, start_bare_ranks(2, tmp_path, *kind, module="tests.recsys.scl.ranks")):
        assert done.status == 0, done.err
    differences = json.loads((tmp_path / "differences.json").read_text())
    assert differences.keys() == {"loss", "queries", "positives", "scale"} and max(differences.values()) < 1e-5
