"""Distinct ids in bounded memory, against numpy's unique over everything."""

import numpy as np
import pytest

from train.data.stats.distinct_ids import DistinctIdSample


def stream(seed: int, distinct: int, lookups: int) -> np.ndarray:
    """Ids with a long tail, spread over int64, each seen at least once."""
    r = np.random.default_rng(seed)
    ids = r.integers(-(1 << 63), (1 << 63) - 1, distinct)
    return r.permutation(np.concatenate([ids, ids[(distinct * r.random(lookups - distinct) ** 3).astype(int)]]))


def counted(ids: np.ndarray, limit: int, chunks: int, monkeypatch: pytest.MonkeyPatch) -> DistinctIdSample:
    monkeypatch.setattr("train.data.stats.distinct_ids._PENDING_IDS", 500)
    sample = DistinctIdSample(limit)
    for chunk in np.array_split(ids, chunks):
        sample.add(chunk)
    sample.merge_pending()
    return sample


def test_a_census_where_all_ids_fit(monkeypatch):
    ids = stream(0, 700, 5000)
    sample = counted(ids, 700, 13, monkeypatch)
    wanted, counts = np.unique(ids, return_counts=True)
    assert sample.exact and sample.seen == 5000
    assert np.array_equal(sample.ids, wanted) and np.array_equal(sample.counts, counts)
    assert sample.distinct() == (700, 0)


@pytest.mark.parametrize("distinct", [701, 5000, 50_000])
def test_a_sample_where_they_do_not(distinct, monkeypatch):
    ids = stream(distinct, distinct, 2 * distinct)
    sample = counted(ids, 700, 29, monkeypatch)
    assert not sample.exact and 250 < sample.ids.size <= 700
    wanted, counts = np.unique(ids, return_counts=True)
    assert np.array_equal(sample.counts, counts[np.searchsorted(wanted, sample.ids)]), (
        "every lookup of a kept id counts"
    )
    assert np.isin(sample.ids, wanted).all()
    estimate, error = sample.distinct()
    assert 0 < error < 0.07 * distinct
    assert abs(estimate - distinct) < 5 * error


def test_the_sample_does_not_depend_on_the_order_or_the_pieces(monkeypatch):
    ids = stream(3, 9000, 20_000)
    one, other = counted(ids, 512, 7, monkeypatch), counted(ids[::-1].copy(), 512, 31, monkeypatch)
    assert np.array_equal(one.ids, other.ids) and np.array_equal(one.counts, other.counts)


def test_regular_ids_are_sampled_fairly(monkeypatch):
    sample = counted(np.arange(0, 1 << 30, 1 << 14), 700, 3, monkeypatch)
    estimate, error = sample.distinct()
    assert abs(estimate - (1 << 16)) < 5 * error


def test_nothing_seen():
    assert DistinctIdSample(10).distinct() == (0, 0)
