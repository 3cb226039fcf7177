"""recsys.metrics against scikit-learn, against the pairwise definition, and against variants that must not pass."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss as sk_log_loss
from sklearn.metrics import roc_auc_score

from embeddings.errors import InputError
from recsys import metrics

METRICS = ("auc", "gauc", "gauc_unweighted", "ne", "log_loss", "calibration")
KEYS = {"rows", "positives", "users", "users_left_out", *METRICS}


def predictions(rows=600, users=40, seed=0):
    """Labels, logits with many ties, users with uneven numbers of rows, and item counts with many zeros."""
    random = np.random.default_rng(seed)
    logits = np.round(random.normal(size=rows), 1).astype(np.float32)
    labels = (random.random(rows) < 1 / (1 + np.exp(1.5 - logits))).astype(np.int8)
    owner = (users * random.random(rows) ** 2).astype(np.int64) - 7
    return labels, logits, owner, random.geometric(0.2, rows) - 1


def pairwise(labels, scores):
    """The definition: over all (positive, negative) pairs."""
    pairs = [(p, n) for p in scores[labels == 1] for n in scores[labels == 0]]
    return sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs) if pairs else None


def per_user(labels, scores, users):
    """(AUC by scikit-learn, impressions) of each user with both labels."""
    aucs = []
    for user in np.unique(users):
        of_user = users == user
        if len(set(labels[of_user])) == 2:
            aucs.append((roc_auc_score(labels[of_user], scores[of_user]), int(of_user.sum())))
    return aucs


rows_of_users = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-3, 3), st.integers(-2, 2)), min_size=0, max_size=40
).map(lambda rows: np.array(rows, np.int64).reshape(-1, 3).T)


@given(rows_of_users)
def test_auc_is_the_share_of_ordered_pairs(rows):
    labels, scores, _ = rows
    expected = pairwise(labels, scores)
    assert metrics.auc(labels, scores / 4) == (None if expected is None else pytest.approx(expected, abs=1e-12))


@given(rows_of_users)
def test_gauc_is_the_weighted_mean_of_pairwise_auc(rows):
    labels, scores, users = rows
    sets = [(pairwise(labels[users == u], scores[users == u]), (users == u).sum()) for u in np.unique(users)]
    used = [(a, n) for a, n in sets if a is not None]
    gauc = metrics.gauc(labels, scores, users)
    assert (gauc.users, gauc.users_left_out) == (len(used), len(sets) - len(used))
    if not used:
        assert gauc.weighted is None and gauc.unweighted is None
        return
    assert gauc.weighted == pytest.approx(sum(a * n for a, n in used) / sum(n for _, n in used), abs=1e-12)
    assert gauc.unweighted == pytest.approx(sum(a for a, _ in used) / len(used), abs=1e-12)


def test_auc_and_gauc_against_scikit_learn():
    labels, logits, users, _ = predictions()
    assert metrics.auc(labels, logits) == pytest.approx(roc_auc_score(labels, logits), abs=1e-12)
    gauc, oracle = metrics.gauc(labels, logits, users), per_user(labels, logits, users)
    aucs, weights = zip(*oracle, strict=True)
    assert gauc.weighted == pytest.approx(np.average(aucs, weights=weights), abs=1e-12)
    assert gauc.unweighted == pytest.approx(np.mean(aucs), abs=1e-12)
    assert gauc.users == len(oracle) and gauc.users_left_out == len(set(users)) - len(oracle) > 0


def mean(aucs_and_weights):
    return sum(a * n for a, n in aucs_and_weights) / sum(n for _, n in aucs_and_weights)


def wrong_gaucs(labels, scores, users):
    """Definitions used elsewhere, whose figures do not compare with ours."""
    right = per_user(labels, scores, users)
    untied = scores + 1e-3 * np.arange(scores.size) / scores.size  # ties broken by the order of rows
    halves = [slice(0, scores.size // 2), slice(scores.size // 2, None)]
    left_out = scores.size - sum(n for _, n in right)
    return {
        "unweighted": mean([(a, 1) for a, _ in right]),
        "weighted by the square": mean([(a, n * n) for a, n in right]),
        "ties lost": mean(per_user(labels, untied, users)),
        "mean over batches": np.mean([mean(per_user(labels[h], scores[h], users[h])) for h in halves]),
        "users of one class count 0.5": mean([*right, (0.5, left_out)]),
        "pooled over users": roc_auc_score(labels, scores),
    }


def test_other_definitions_of_gauc_are_told_apart():
    labels, logits, users, _ = predictions()
    gauc = metrics.gauc(labels, logits, users).weighted
    for name, value in wrong_gaucs(labels, logits, users).items():
        assert abs(gauc - value) > 1e-4, name


def test_ties_earn_one_half_whatever_the_order_of_rows():
    assert metrics.auc([1, 0], [0.3, 0.3]) == metrics.auc([0, 1], [0.3, 0.3]) == 0.5
    assert metrics.auc([1, 0, 1, 0], [2, 2, 2, 1]) == 0.75
    assert metrics.auc([1, 0], [0.0, -0.0]) == 0.5


def test_equal_scores_of_two_users_are_no_tie():
    gauc = metrics.gauc([1, 0, 0, 1], [5, 4, 5, 4], [1, 1, 2, 2])
    assert gauc == (0.5, 0.5, 2, 0)
    assert metrics.gauc([1, 0, 0], [5, 4, 4], [1, 1, 2]) == (1.0, 1.0, 1, 1)


def test_auc_is_exact_where_float32_sums_would_not_be():
    rows = 300_000
    labels = np.arange(rows) % 2
    assert metrics.auc(labels, labels.astype(np.float32)) == 1.0
    assert metrics.auc(labels, np.zeros(rows, np.float32)) == 0.5


def test_nothing_changes_under_permutation_and_ranks_under_a_monotone_transform():
    labels, logits, users, counts = predictions()
    order = np.random.default_rng(1).permutation(labels.size)
    before = metrics.evaluate_predictions(labels, logits, users, counts)
    after = metrics.evaluate_predictions(labels[order], logits[order], users[order], counts[order])
    assert_same(after, before)
    moved = metrics.compute_metrics(labels, np.exp(logits.astype(np.float64)) * 3 - 1, users)
    for key in ("auc", "gauc", "gauc_unweighted", "users"):
        assert moved[key] == before["overall"][key]
    assert metrics.auc(labels, -logits) == pytest.approx(1 - before["overall"]["auc"], abs=1e-12)


def assert_same(a, b):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        a, b = list(a.values()), list(b.values())
    if isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == (pytest.approx(b, rel=1e-12) if isinstance(b, float) else b)


def test_log_loss_ne_and_calibration_against_other_code():
    labels, logits, users, _ = predictions()
    probabilities = 1 / (1 + np.exp(-logits.astype(np.float64)))
    expected = sk_log_loss(labels, probabilities)
    values = metrics.compute_metrics(labels, logits, users)
    assert values["log_loss"] == pytest.approx(expected, rel=1e-12)
    assert metrics.log_loss(labels, probabilities) == pytest.approx(expected, rel=1e-12)
    assert values["ne"] == pytest.approx(expected / sk_log_loss(labels, np.full(labels.size, labels.mean())), rel=1e-12)
    assert values["calibration"] == pytest.approx(probabilities.mean() / labels.mean(), rel=1e-12)
    constant = np.full(labels.size, math.log(labels.mean() / (1 - labels.mean())))
    assert metrics.compute_metrics(labels, constant, users)["ne"] == pytest.approx(1.0, rel=1e-12)


def test_huge_logits_keep_their_loss():
    assert metrics.log_loss_from_logits([0, 1], [1e30, 1e30]) == 0.5e30
    assert metrics.log_loss_from_logits([1, 0], [800.0, -800.0]) == 0.0
    assert metrics.log_loss_from_logits([1], [40.0]) == pytest.approx(math.exp(-40), rel=1e-12)
    assert metrics.log_loss_from_logits([0], np.float32([90])) == pytest.approx(90, rel=1e-12)
    assert metrics.log_loss([0], np.float32([1])) == math.inf
    with pytest.raises(AssertionError, match="logits"):
        metrics.log_loss([0, 1], [-2.0, 0.5])
    computed = metrics.compute_metrics([0, 1], np.float32([-3e38, 3e38]), [1, 1])
    assert (computed["log_loss"], computed["ne"], computed["calibration"], computed["auc"]) == (0, 0, 1, 1)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_leaves_what_is_undefined_null(label):
    computed = metrics.compute_metrics([label] * 3, [-1.0, 0.0, 1.0], [1, 1, 2])
    assert computed.keys() == KEYS
    assert [computed[k] for k in ("auc", "gauc", "gauc_unweighted", "ne")] == [None] * 4
    assert (computed["users"], computed["users_left_out"]) == (0, 2)
    assert computed["log_loss"] > 0
    assert (computed["calibration"] is None) == (label == 0)


def test_no_rows_at_all():
    empty = np.zeros(0)
    evaluation = metrics.evaluate_predictions(empty, empty, empty.astype(np.int64), empty.astype(np.int64))
    assert evaluation["overall"]["rows"] == 0 and all(evaluation["overall"][k] is None for k in METRICS)
    assert evaluation["frequency_groups"] == [] and evaluation["reliability"] == []


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match=r"2 of 3 scores are not finite.*lower learning rates"):
        metrics.compute_metrics([0, 1, 0], [np.nan, np.inf, 0.0], [1, 1, 1])


def test_groups_of_distinct_counts_are_equal_and_rarest_first():
    counts = np.random.default_rng(0).permutation(80)
    index, groups = metrics.frequency_groups(counts)
    assert [g.rows for g in groups] == [10] * 8
    assert [(g.low, g.high) for g in groups] == [(10 * k, 10 * k + 9) for k in range(8)]
    assert (index == counts // 10).all()


@given(st.lists(st.integers(0, 12), max_size=60), st.integers(1, 9))
def test_groups_keep_equal_counts_together(counts, wanted):
    index, groups = metrics.frequency_groups(np.array(counts, np.int64), wanted)
    assert len(groups) <= wanted and sum(g.rows for g in groups) == len(counts)
    for k, group in enumerate(groups):
        group_counts = [c for c, i in zip(counts, index, strict=True) if i == k]
        assert len(group_counts) == group.rows > 0 and (min(group_counts), max(group_counts)) == (group.low, group.high)
        assert {i for c, i in zip(counts, index, strict=True) if group.low <= c <= group.high} == {k}
    largest = max(map(counts.count, counts), default=0)
    assert all(g.rows <= len(counts) / wanted + largest for g in groups)


def test_a_count_shared_by_most_rows_gives_fewer_groups():
    counts = np.array([0] * 90 + [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    _, groups = metrics.frequency_groups(counts)
    assert [(g.rows, g.low, g.high) for g in groups] == [(90, 0, 0), (10, 1, 10)]


def test_a_count_goes_where_its_middle_row_lies():
    _, groups = metrics.frequency_groups(np.array([3] * 4 + [7] * 6), 2)
    assert groups == [(4, 3, 3), (6, 7, 7)]


def test_evaluation_of_every_subset_is_that_of_its_rows():
    labels, logits, users, counts = predictions()
    result = metrics.evaluate_predictions(labels, logits, users, counts)
    json.dumps(result, allow_nan=False)
    assert result["overall"] == metrics.compute_metrics(labels, logits, users)
    subsets = [(result["new_items"], counts == 0), (result["known_items"], counts > 0)]
    subsets += [(g, (counts >= g["min_count"]) & (counts <= g["max_count"])) for g in result["frequency_groups"]]
    assert [g["group"] for g in result["frequency_groups"]] == list(range(1, len(result["frequency_groups"]) + 1))
    for subset, members in subsets:
        assert subset["rows"] == members.sum() > 0
        assert subset["auc"] == pytest.approx(roc_auc_score(labels[members], logits[members]), abs=1e-12)
        assert KEYS <= subset.keys()


def test_a_subset_without_rows_is_null():
    labels, logits, users, counts = predictions()
    evaluation = metrics.evaluate_predictions(labels, logits, users, counts + 1)
    assert evaluation["new_items"]["rows"] == 0 and all(evaluation["new_items"][k] is None for k in METRICS)
    assert evaluation["known_items"] == evaluation["overall"]


def test_reliability_bins_by_hand():
    bins = metrics.reliability([0, 0, 0, 1, 1, 1], [0.1, 0.2, 0.3, 0.5, 0.5, 0.8], bins=2)
    low, high = bins
    assert (low["rows"], low["low"], low["high"], low["base_rate"]) == (3, 0.1, 0.3, 0.0)
    assert low["mean_prediction"] == pytest.approx(0.2) and high["mean_prediction"] == pytest.approx(0.6)
    assert (high["rows"], high["base_rate"]) == (3, 1.0)


def test_calibrated_predictions_lie_on_the_diagonal():
    random = np.random.default_rng(0)
    probabilities = random.random(40_000)
    bins = metrics.reliability(random.random(40_000) < probabilities, probabilities, bins=10)
    assert [b["rows"] for b in bins] == [4000] * 10
    assert all(abs(b["mean_prediction"] - b["base_rate"]) < 0.04 for b in bins)
