"""Metrics of CTR predictions: AUC, GAUC, normalised entropy, log loss, calibration. numpy only.

Every function takes the whole evaluation set at once, gathered over ranks: AUC and GAUC are no means over batches. A
metric that is undefined, such as the AUC of one class, is None, never 0 or 0.5. Pairs are counted exactly, in integers;
sums are float64.
"""

from typing import Any, NamedTuple

import numpy as np

from embeddings.errors import InputError


class Gauc(NamedTuple):
    """AUC per user, averaged over the users that have both labels."""

    weighted: float | None  # weights: the user's impressions
    unweighted: float | None
    users: int  # users with both labels
    users_left_out: int


class Group(NamedTuple):
    """One group of rows: how many, and the smallest and largest value in it."""

    rows: int
    low: Any
    high: Any


def auc(labels: np.ndarray, scores: np.ndarray) -> float | None:
    """Area under the ROC curve: the share of (positive, negative) pairs in the right order; a tie earns one half.

    labels   [B]  0 or 1
    scores   [B]  finite; only their order counts
    returns  None unless both labels are there
    """
    return gauc(labels, scores, np.zeros(np.size(labels), np.int8)).weighted


def gauc(labels: np.ndarray, scores: np.ndarray, users: np.ndarray) -> Gauc:
    """AUC per user, averaged with the user's impressions as weights over users with both labels.

        labels  [B]  0 or 1
        scores  [B]  finite; only their order within a user counts
        users   [B]  integer ids, in any order

    Both averages are None where no user has both labels. One sort, no loop over users.
    """
    labels, scores, users = _columns(labels, scores, users)
    if not labels.size:
        return Gauc(None, None, 0, 0)
    order = np.lexsort((scores, users))
    labels, scores, users = labels[order], scores[order], users[order]
    user_starts = _changes(users)
    tie_starts = np.flatnonzero(_is_new(users) | _is_new(scores))  # blocks of one user and one score
    positives, negatives = _sums(labels, tie_starts), _sums(~labels, tie_starts)
    first_tie = np.searchsorted(tie_starts, user_starts)  # each user's first block
    negatives_before = np.cumsum(negatives) - negatives
    owner = np.repeat(np.arange(user_starts.size), np.diff(first_tie, append=tie_starts.size))
    negatives_below = negatives_before - negatives_before[first_tie][owner]
    twice_won = np.add.reduceat(positives * (2 * negatives_below + negatives), first_tie)
    user_positives, user_negatives = np.add.reduceat(positives, first_tie), np.add.reduceat(negatives, first_tie)
    pairs = user_positives * user_negatives
    used = pairs > 0
    count = int(used.sum())
    if count == 0:
        return Gauc(None, None, 0, user_starts.size)
    per_user = twice_won[used] / (2.0 * pairs[used])
    impressions = (user_positives + user_negatives)[used]
    weighted = float(per_user @ impressions / impressions.sum())
    return Gauc(weighted, float(per_user.mean()), count, user_starts.size - count)


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Mean binary cross-entropy in nats of ``probabilities [B]`` in [0, 1]; None without rows.

    Infinite where a probability of 0 or 1 is wrong: a float32 sigmoid rounds to 1 from a logit of 17. Where logits are
    at hand, ``log_loss_from_logits`` is exact.
    """
    labels, probabilities = _columns(labels, probabilities)
    if not labels.size:
        return None
    probabilities = probabilities.astype(np.float64)
    assert 0.0 <= probabilities.min() and probabilities.max() <= 1.0, "not probabilities; logits?"
    with np.errstate(divide="ignore"):
        return float(-np.log(np.where(labels, probabilities, 1.0 - probabilities)).mean())


def log_loss_from_logits(labels: np.ndarray, logits: np.ndarray) -> float | None:
    """Mean binary cross-entropy in nats of finite ``logits [B]``, however large; None without rows."""
    labels, logits = _columns(labels, logits)
    if not labels.size:
        return None
    against = np.where(labels, -logits.astype(np.float64), logits)  # how far each logit leans to the wrong side
    return float(np.logaddexp(0.0, against, out=against).mean())


def normalised_entropy(loss: float | None, base_rate: float | None) -> float | None:
    """NE: log loss over the log loss of always predicting ``base_rate`` (He et al. 2014, section 3). Below 1 is better.

    None where the base rate is 0, 1 or unknown.
    """
    if loss is None or base_rate is None or not 0.0 < base_rate < 1.0:
        return None
    return float(loss / -(base_rate * np.log(base_rate) + (1.0 - base_rate) * np.log1p(-base_rate)))


def calibration(labels: np.ndarray, probabilities: np.ndarray) -> float | None:
    """Mean prediction over base rate: 1 is calibrated, above 1 predicts too much. None without a positive."""
    labels, probabilities = _columns(labels, probabilities)
    if not labels.any():
        return None
    return float(probabilities.sum(dtype=np.float64) / labels.sum())


def probabilities_of(logits: np.ndarray) -> np.ndarray:
    """float64 sigmoid of ``logits``, without overflow."""
    return np.exp(-np.logaddexp(0.0, -np.asarray(logits, np.float64)))


def frequency_groups(counts: np.ndarray, groups: int = 8) -> tuple[np.ndarray, list[Group]]:
    """Rows grouped by a value, smallest first, into at most ``groups`` groups of nearly equal numbers of rows.

        counts   [B]  each row's value, such as the training impressions of its target item
        returns  [B]  int64 group of each row, 0 for the smallest values; and the Group of each

    Equal values are never split, so that a group does not depend on the order of rows. Where many rows share a value
    the groups come out uneven or fewer: a value's rows all go where their middle row lies, and empty groups close up.
    """
    values, inverse, rows = np.unique(np.asarray(counts), return_inverse=True, return_counts=True)
    if not values.size:
        return np.zeros(0, np.int64), []
    twice_middle = 2 * np.cumsum(rows) - rows
    wanted = twice_middle * groups // (2 * rows.sum())
    starts = _changes(wanted)
    ends = np.append(starts[1:], wanted.size) - 1
    formed = [
        Group(int(n), low.item(), high.item())
        for n, low, high in zip(_sums(rows, starts), values[starts], values[ends], strict=True)
    ]
    return (np.cumsum(_is_new(wanted)) - 1)[inverse], formed


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int = 15) -> list[dict[str, Any]]:
    """Mean prediction against base rate in at most ``bins`` bins of nearly equal numbers of rows, lowest first.

    Keys: low, high (smallest and largest prediction of the bin), rows, mean_prediction, base_rate. Equal predictions
    are never split, as in ``frequency_groups``.
    """
    labels, probabilities = _columns(labels, probabilities)
    index, bin_groups = frequency_groups(probabilities, bins)
    predicted = np.bincount(index, weights=probabilities, minlength=len(bin_groups))
    positives = np.bincount(index, weights=labels, minlength=len(bin_groups))
    return [
        {
            "low": float(group.low),
            "high": float(group.high),
            "rows": group.rows,
            "mean_prediction": float(predicted[k] / group.rows),
            "base_rate": float(positives[k] / group.rows),
        }
        for k, group in enumerate(bin_groups)
    ]


def compute_metrics(labels: np.ndarray, logits: np.ndarray, users: np.ndarray) -> dict[str, Any]:
    """Every metric of one set of rows, ready for JSON: counts are ints, metrics floats, undefined ones None.

        labels  [B]  0 or 1
        logits  [B]  finite
        users   [B]  integer ids

    Keys: rows, positives, auc, gauc, gauc_unweighted, users, users_left_out, ne, log_loss, calibration. NE is against
    the base rate of these rows. Raises InputError where a logit is not finite.
    """
    labels, logits, users = _columns(labels, logits, users)
    rows, positives = labels.size, int(labels.sum())
    per_user = gauc(labels, logits, users)
    loss = log_loss_from_logits(labels, logits)
    return {
        "rows": rows,
        "positives": positives,
        "auc": auc(labels, logits),
        "gauc": per_user.weighted,
        "gauc_unweighted": per_user.unweighted,
        "users": per_user.users,
        "users_left_out": per_user.users_left_out,
        "ne": normalised_entropy(loss, positives / rows if rows else None),
        "log_loss": loss,
        "calibration": calibration(labels, probabilities_of(logits)),
    }


def undefined(metrics: dict[str, Any]) -> dict[str, str]:
    """Why each metric that is None in ``compute_metrics``' answer is undefined."""
    rows, positives = metrics["rows"], metrics["positives"]
    if not rows:
        why = "there are no rows"
    elif positives in (0, rows):
        why = f"all {rows:,} rows have label {int(positives > 0)}"
    else:
        why = f"no user has both labels in {rows:,} rows"
    return {name: why for name, value in metrics.items() if value is None}


def evaluate_predictions(
    labels: np.ndarray, logits: np.ndarray, users: np.ndarray, target_counts: np.ndarray | None
) -> dict[str, Any]:
    """Metrics overall, by item frequency, of new and of known items, and the reliability diagram's points.

        labels         [B]  0 or 1
        logits         [B]  finite
        users          [B]  integer ids
        target_counts  [B]  training impressions of each row's target item; 0 is a new item; None: nobody knows

    Keys: overall, reliability and, unless ``target_counts`` is None, frequency_groups (8 at most, rarest first; group
    counts from 1), new_items, known_items. Each but reliability holds the metrics of ``compute_metrics``. Raises
    InputError where a logit is not finite.
    """
    labels, logits, users = _columns(labels, logits, users)
    overall = {
        "overall": compute_metrics(labels, logits, users),
        "reliability": reliability(labels, probabilities_of(logits)),
    }
    if target_counts is None:
        return overall
    counts = np.asarray(target_counts)
    assert counts.shape == labels.shape, f"target_counts {counts.shape} for {labels.shape} rows"

    def of(chosen: np.ndarray) -> dict[str, Any]:
        return compute_metrics(labels[chosen], logits[chosen], users[chosen])

    index, item_groups = frequency_groups(counts)
    return {
        "overall": overall["overall"],
        "frequency_groups": [
            {"group": k + 1, "min_count": group.low, "max_count": group.high, **of(index == k)}
            for k, group in enumerate(item_groups)
        ],
        "new_items": of(counts == 0),
        "known_items": of(counts > 0),
        "reliability": overall["reliability"],
    }


def _columns(labels: np.ndarray, scores: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    """Columns of one length: bool labels, finite scores, the rest as they are."""
    labels, scores, *rest = (np.asarray(column) for column in (labels, scores, *others))
    assert all(c.shape == (labels.size,) for c in (labels, scores, *rest)), "columns of different lengths"
    positive = labels.astype(bool)
    assert labels.dtype == bool or (positive == labels).all(), "labels other than 0 and 1"
    if bad := int(labels.size - np.isfinite(scores).sum()):
        raise InputError(
            f"{bad} of {labels.size} scores are not finite; allowed: finite numbers; "
            "the model has diverged: train again with lower learning rates"
        )
    return positive, scores, *rest


def _is_new(values: np.ndarray) -> np.ndarray:
    """[n] bool: whether a value differs from the one before it; the first does."""
    return np.concatenate((np.ones(min(1, values.size), bool), values[1:] != values[:-1]))


def _changes(values: np.ndarray) -> np.ndarray:
    return np.flatnonzero(_is_new(values))


def _sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """int64 sums of the blocks that begin at ``starts``."""
    return np.add.reduceat(values, starts, dtype=np.int64)
