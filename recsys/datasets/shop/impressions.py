"""Impressions of the generated market: what a block of users is shown and clicks, and each impression's history."""

from dataclasses import dataclass

import numpy as np

from recsys.datasets.shop.market import DAY, DAYS, START, WARM_UP, Market, Users

REQUEST_ROWS = 8  # mean impressions of one request, which share their time
BASE_SAMPLE = 50_000  # impressions that set the base rate
CHOICES = 4  # a behaviour of the warm-up is the best of so many items


def click_probability(log_odds: np.ndarray) -> np.ndarray:
    """The logistic function."""
    return 1 / (1 + np.exp(-log_odds))


def base_log_odds(market: Market, click_rate: float, seed: int) -> float:
    """The constant, added to all log-odds, that makes the mean click rate ``click_rate``; by bisection on a sample."""
    rng = np.random.default_rng([seed, 2])
    users = market.new_users(rng, BASE_SAMPLE // 10)
    owner = rng.integers(len(users), size=BASE_SAMPLE)
    time = rng.integers(START, START + DAYS * DAY, size=BASE_SAMPLE)
    odds = market.log_odds(users, owner, market.shown(rng, users, owner, time))
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if click_probability(odds + middle).mean() < click_rate else (low, middle)
    return low


@dataclass(frozen=True)
class Impressions:
    """Impressions of a block of users, sorted by (owner, time).

    owner, time, item  [n]      int64
    label              [n]      int8
    offsets            [U + 1]  int64; user u has rows offsets[u] : offsets[u + 1]
    """

    owner: np.ndarray
    time: np.ndarray
    item: np.ndarray
    label: np.ndarray
    offsets: np.ndarray


def show(rng: np.random.Generator, market: Market, users: Users, rows: int, base: float) -> Impressions:
    """``rows`` impressions: a long tail of active users, requests of a few items at one time."""
    weight = rng.gamma(1.0, size=len(users))
    exact = 1 + (rows - len(users)) * weight / weight.sum()
    count = np.floor(exact).astype(np.int64)
    count[np.argsort(count - exact, kind="stable")[: rows - count.sum()]] += 1
    owner = np.repeat(np.arange(len(users)), count)
    offsets = np.concatenate([[0], np.cumsum(count)])
    opens = rng.random(rows, np.float32) < 1 / REQUEST_ROWS
    opens[offsets[:-1]] = True
    request = np.maximum.accumulate(np.where(opens, np.arange(rows), 0))  # first row of each row's request
    time = rng.integers(START, START + DAYS * DAY, size=rows)[request]
    time = time[np.lexsort((time, owner))]
    item = market.shown(rng, users, owner, time)
    clicked = rng.random(rows, np.float32) < click_probability(market.log_odds(users, owner, item) + np.float32(base))
    return Impressions(owner, time, item, clicked.astype(np.int8), offsets)


@dataclass(frozen=True)
class Histories:
    """Behaviours of a block of users, oldest first, and each impression's slice of them.

    items         [T]  int64 index of the items
    starts, ends  [n]  int64; impression i has items[starts[i] : ends[i]]
    """

    items: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def remember(rng: np.random.Generator, market: Market, users: Users, shown: Impressions, longest: int) -> Histories:
    """What each user chose during the warm-up, then clicked; an impression sees what lies strictly before its time."""
    before = (rng.beta(0.8, 1.2, size=len(users)) * (longest + 1)).astype(np.int64)
    owner = np.repeat(np.arange(len(users)), before)
    time = rng.integers(START - WARM_UP, START, size=owner.size)
    time = time[np.lexsort((time, owner))]
    offered = market.shown(rng, users, np.repeat(owner, CHOICES), np.repeat(time, CHOICES))
    odds = market.log_odds(users, np.repeat(owner, CHOICES), offered) + rng.gumbel(size=offered.size)
    chosen = offered.reshape(-1, CHOICES)[np.arange(owner.size), odds.reshape(-1, CHOICES).argmax(axis=1)]

    clicked = np.concatenate([[0], np.cumsum(shown.label, dtype=np.int64)])  # clicks in rows before each row
    clicks = np.diff(clicked[shown.offsets])
    begin = np.concatenate([[0], np.cumsum(before + clicks)])[:-1]  # of each user's behaviours
    items = np.empty(owner.size + int(clicked[-1]), np.int64)
    chosen_begin = np.concatenate([[0], np.cumsum(before)])[:-1]  # of each user's warm-up choices
    items[begin[owner] + np.arange(owner.size) - chosen_begin[owner]] = chosen
    hits = np.flatnonzero(shown.label)
    by = shown.owner[hits]
    items[begin[by] + before[by] + clicked[hits] - clicked[shown.offsets[by]]] = shown.item[hits]

    same = np.zeros(shown.owner.size, bool)  # the row belongs to the request of the row before
    same[1:] = (shown.owner[1:] == shown.owner[:-1]) & (shown.time[1:] == shown.time[:-1])
    request = np.maximum.accumulate(np.where(same, 0, np.arange(same.size)))  # first row of each row's request
    ends = begin[shown.owner] + before[shown.owner] + clicked[request] - clicked[shown.offsets[shown.owner]]
    return Histories(items, np.maximum(begin[shown.owner], ends - longest), ends)
