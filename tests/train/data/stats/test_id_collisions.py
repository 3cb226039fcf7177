"""Shares of ids and lookups that share a row, against counting all of them."""

import numpy as np
import pytest

from recsys.features.table_rows import table_rows
from recsys.schema import TableSchema
from train.data.stats.distinct_ids import DistinctIdSample
from train.data.stats.id_collisions import CollisionCounter, expected_collision_rate, rows_for_collision_rate


def truth(ids: np.ndarray, table: TableSchema) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct ids, how often each was seen, and whether it shares its row."""
    distinct, counts = np.unique(ids, return_counts=True)
    rows = np.empty_like(distinct)
    table_rows(distinct, table, rows)
    _, place, on_row = np.unique(rows, return_inverse=True, return_counts=True)
    return distinct, counts, on_row[place] > 1


def stream(distinct: int, step: int = 1) -> np.ndarray:
    r = np.random.default_rng(distinct)
    ids = r.permutation(10 * distinct)[:distinct] * step
    return r.permutation(np.concatenate([ids, ids[(distinct * r.random(2 * distinct) ** 3).astype(int)]]))


@pytest.mark.parametrize("way", ["hash", "modulo"])
@pytest.mark.parametrize(
    ("limit", "rows", "step"), [(9000, 20_000, 1), (1000, 20_000, 1), (1000, 1 << 14, 64), (1000, 5, 1)]
)
def test_shares_are_those_of_all_ids(way: str, limit: int, rows: int, step: int):
    ids, table = stream(9000, step), TableSchema(num_embeddings=rows, ids=way)
    sample = DistinctIdSample(limit)
    for chunk in np.array_split(ids, 7):
        sample.add(chunk)
    counter = CollisionCounter(sample, table)
    for chunk in np.array_split(ids, 5):
        counter.add(chunk)
    distinct, counts, shared = truth(ids, table)
    kept = np.argsort(counter._ids)
    assert np.array_equal(counter._collides[kept], shared[np.isin(distinct, sample.ids)]), "of each id that was kept"
    rates = counter.rates()
    if limit == 9000:
        assert (rates.ids_error, rates.lookups_error) == (0, 0)
        assert rates.ids == shared.mean() and rates.lookups == counts[shared].sum() / counts.sum()
    else:
        assert abs(rates.ids - shared.mean()) <= 5 * rates.ids_error
        assert abs(rates.lookups - counts[shared].sum() / counts.sum()) <= 5 * rates.lookups_error
        assert rates.ids_error < 0.02
    if rows == 20_000 and way == "hash":
        assert abs(shared.mean() - expected_collision_rate(9000, rows)) < 0.02


def test_no_ids_at_all():
    counter = CollisionCounter(DistinctIdSample(5), TableSchema(num_embeddings=3))
    counter.add(np.zeros(0, np.int64))
    assert counter.rates().ids == counter.rates().lookups == 0


@pytest.mark.parametrize(
    ("distinct", "rows", "share"), [(2, 2, 0.5), (3, 2, 0.75), (1, 7, 0.0), (5, 1, 1.0), (1, 1, 0.0)]
)
def test_expected_share_of_few(distinct: int, rows: int, share: float):
    assert expected_collision_rate(distinct, rows) == pytest.approx(share)


@pytest.mark.parametrize("share", [0.001, 0.1, 0.9])
@pytest.mark.parametrize("distinct", [2, 1000, 10**8, 10**11])
def test_rows_for_a_rate_is_the_least_number_that_will_do(distinct: int, share: float):
    rows = rows_for_collision_rate(distinct, share)
    assert expected_collision_rate(distinct, rows) <= share * (1 + 1e-9)
    assert expected_collision_rate(distinct, int(rows * 0.999) - 1) > share or rows < 3
