"""Acc@N against a sorted list, and what ties are worth."""

import pytest
import torch
from torch.nn import functional as F

from recsys.scl.accuracy_at_n import hits
from tests.recsys.scl import oracles


@pytest.mark.parametrize(("queries", "candidates"), [(1, 1), (40, 7), (1100, 30)])
def test_is_a_sorted_list_s(queries: int, candidates: int):
    draw = torch.Generator().manual_seed(candidates)
    q = F.normalize(torch.randn(queries, 4, generator=draw), dim=1)
    c = F.normalize(torch.randn(candidates, 4, generator=draw), dim=1)
    positions = torch.randint(0, candidates, (queries,), generator=draw)
    accuracies = (hits(q, c, positions, (1, 5)) / queries).tolist()
    some = slice(0, 200)
    if queries > 200:
        accuracies = (hits(q[some], c, positions[some], (1, 5)) / 200).tolist()
        both = hits(q, c, positions, (1, 5))
        assert (
            both.tolist()
            == (hits(q[:600], c, positions[:600], (1, 5)) + hits(q[600:], c, positions[600:], (1, 5))).tolist()
        )
    wanted = [oracles.accuracy(q[some].tolist(), c.tolist(), positions[some].tolist(), n) for n in (1, 5)]
    assert accuracies == pytest.approx(wanted)


def test_equal_vectors_for_everything_score_by_chance():
    hit_counts = hits(torch.ones(10, 3), torch.ones(20, 3), torch.arange(10), (1, 5, 20))
    assert (hit_counts / 10).tolist() == pytest.approx([1 / 20, 5 / 20, 1.0])


def test_two_items_of_one_content_share_a_place():
    candidates = torch.eye(3)[[0, 0, 1, 2]]
    assert hits(torch.eye(3)[:1], candidates, torch.tensor([1]), (1, 2)).tolist() == [0.5, 1.0]


def test_no_queries_no_hits():
    assert hits(torch.zeros(0, 3), torch.ones(2, 3), torch.zeros(0, dtype=torch.int64), (1,)).tolist() == [0.0]
