"""Drawn negatives: outside the user's sequence, half of them popular."""

import numpy as np
import pytest

from embeddings.errors import InputError
from recsys.datasets.io.negative_sampling import NegativeSampler


@pytest.fixture
def sampler():
    """1000 items of which 900..909 are popular, and as often as their last digit says; user u had items u..u + 9."""
    popularity = np.zeros(1000, np.int64)
    popularity[900:910] = np.arange(10) * 100
    owners = np.repeat(np.arange(50), 10)
    return NegativeSampler(owners, owners + np.tile(np.arange(10), 50), 1000, popularity)


def test_half_of_the_slots_are_popular(sampler):
    drawn = sampler.draw(np.random.default_rng(0), np.arange(50).repeat(40), 4)
    popular = (drawn >= 900) & (drawn < 910)
    assert popular.sum(axis=1).min() == 2
    assert 2 <= popular.sum(axis=1).mean() < 2.1  # the uniform half meets a popular item now and then
    one = sampler.draw(np.random.default_rng(0), np.arange(50).repeat(40), 1)
    popular = (one >= 900) & (one < 910)
    assert 1000 <= popular.sum() < 1060
    assert 0 < popular[:1000].sum() - popular[1000:].sum() + 200 < 400  # mixed, not the first half of the rows


def test_popular_slots_follow_the_counts(sampler):
    drawn = sampler.draw(np.random.default_rng(0), np.zeros(20_000, np.int64), 1)
    share = np.bincount(drawn[(drawn >= 900) & (drawn < 910)] - 900, minlength=10) / 10_000
    np.testing.assert_allclose(share, np.arange(10) / 45, atol=0.02)


def test_uniform_slots_reach_every_item_evenly(sampler):
    drawn = sampler.draw(np.random.default_rng(0), np.full(100_000, 49), 2)[:, 0]
    count = np.bincount(drawn, minlength=1000)
    assert (count[49:59] == 0).all()
    others = np.delete(count, np.r_[49:59, 900:910])
    assert abs(others.mean() - 100_000 / 990) < 1.5 and others.min() > 50 and others.max() < 160


def test_never_from_the_sequence_and_never_twice(sampler):
    owners = np.arange(50).repeat(30)
    drawn = sampler.draw(np.random.default_rng(1), owners, 6)
    for owner, row in zip(owners, drawn, strict=True):
        assert len(set(row)) == 6
        assert not set(row) & set(range(owner, owner + 10))


def test_a_user_who_had_nearly_everything_gets_what_is_left():
    items = np.arange(996)
    sampler = NegativeSampler(np.zeros(996, np.int64), items, 1000, np.ones(1000, np.int64))
    drawn = sampler.draw(np.random.default_rng(0), np.zeros(5, np.int64), 4)
    assert (np.sort(drawn, axis=1) == np.arange(996, 1000)).all()
    without = np.ones(1000, np.int64)
    without[996:] = 0  # all that is popular is taken: the popular slots fall back to what is left
    drawn = NegativeSampler(np.zeros(996, np.int64), items, 1000, without).draw(
        np.random.default_rng(0), np.zeros(5, np.int64), 4
    )
    assert (np.sort(drawn, axis=1) == np.arange(996, 1000)).all()


def test_too_few_items_left_is_an_error():
    sampler = NegativeSampler(np.zeros(7, np.int64), np.arange(7), 10, np.ones(10, np.int64))
    with pytest.raises(InputError, match="leaves 3 of 10 items to draw 4 negatives from"):
        sampler.draw(np.random.default_rng(0), np.zeros(1, np.int64), 4)
