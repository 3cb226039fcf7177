"""The generated market's world: items with hidden style and taste, users with several interests, and who clicks what.

A click's log-odds are a sum of: the user's own eagerness, the item's quality, its price, how well the user's and the
item's taste factors match (no content shows these), and how close the item's style comes to the nearest interest.
"""

from dataclasses import dataclass

import numpy as np

STYLE_DIM = 16
TASTE_DIM = 8
MAX_INTERESTS = 4
STYLE_SPREAD = 0.6  # share of an item's or interest's style that is its own; the rest is its category's
EXPOSURE = (0.5, 0.37, 0.13)  # shown because of an interest, because popular, because new
START = 1_704_067_200  # 2024-01-01, in seconds
DAY = 86_400
DAYS = 30
TRAIN_DAYS, VALIDATION_DAYS = 24, 3  # the rest is test
SPLITS = {  # first second, and the one behind the last
    "train": (START, START + TRAIN_DAYS * DAY),
    "validation": (START + TRAIN_DAYS * DAY, START + (TRAIN_DAYS + VALIDATION_DAYS) * DAY),
    "test": (START + (TRAIN_DAYS + VALIDATION_DAYS) * DAY, START + DAYS * DAY),
}
WARM_UP = 90 * DAY  # before START: behaviours that are history only
KNOWN_SHARE = 0.6  # of items, on sale before the warm-up; the others are launched between START and the end
NEW_ARRIVALS = 0.02  # share of items that count as new arrivals at any time
CITIES = 300
TAGS_PER_CATEGORY = 12
MAX_TAGS = 5
# Weights of the log-odds. Each term has a spread near 1 over impressions before its weight.
EAGERNESS, QUALITY, PRICE, TASTE, CONTENT = 0.5, 0.6, 0.2, 0.9, 1.0


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of norm 1."""
    return x / np.sqrt(np.square(x).sum(axis=-1, keepdims=True))


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape, np.float32)


def _styles(rng: np.random.Generator, centres: np.ndarray) -> np.ndarray:
    """A style near each of ``centres`` [n, STYLE_DIM]: float32 unit vectors of the same shape."""
    deviation = unit(_normal(rng, *centres.shape))
    return unit(np.float32(1 - STYLE_SPREAD) * centres + np.float32(STYLE_SPREAD) * deviation)


@dataclass(frozen=True)
class Users:
    """A block of users.

    eagerness  [n]               float32, added to each of the user's log-odds
    taste      [n, TASTE_DIM]    float32
    interests  [n, K, STYLE_DIM] float32 unit vectors, K = MAX_INTERESTS; unused ones are zero
    category   [n, K]            int64, where each interest lies
    share      [n, K]            float32 cumulative shares of the interests in what the user is shown
    city       [n]               int64
    """

    eagerness: np.ndarray
    taste: np.ndarray
    interests: np.ndarray
    category: np.ndarray
    share: np.ndarray
    city: np.ndarray

    def __len__(self) -> int:
        return self.city.size


class Market:
    """All items, sorted by (category, launch): what is on sale in a category at any time is one slice.

    ids         [I]             int64, a permutation of 0..I-1: an id tells nothing about its item
    category    [I]             int64
    launch      [I]             int64 seconds
    style       [I, STYLE_DIM]  float32 unit vectors
    taste       [I, TASTE_DIM]  float32
    quality     [I]             float32
    price       [I]             float32, standardised logarithm
    tags        [T]             int64, item i has tags[tag_offsets[i] : tag_offsets[i + 1]]
    """

    def __init__(self, items: int, seed: int) -> None:
        rng = np.random.default_rng([seed, 0])
        self.num_items = items
        self.num_categories = max(4, round(np.sqrt(items) / 2))
        self.num_tags = self.num_categories * TAGS_PER_CATEGORY
        self._centres = unit(_normal(rng, self.num_categories, STYLE_DIM))
        self._demand = np.cumsum(rng.gamma(1.0, size=self.num_categories) + 0.1)  # cumulative, over categories
        self._demand /= self._demand[-1]
        size = np.diff(self._demand, prepend=0)
        self.category = np.sort(rng.choice(self.num_categories, size=items, p=size))
        self.category[: self.num_categories] = np.arange(self.num_categories)  # none is empty
        launch = rng.integers(START, START + DAYS * DAY, size=items)
        known = rng.random(items) < KNOWN_SHARE
        known[: self.num_categories] = True  # each category sells something from the first day
        launch[known] = START - WARM_UP
        order = np.lexsort((launch, self.category))
        self.category, self.launch = self.category[order], launch[order]

        self.ids = rng.permutation(items)
        self.quality = _normal(rng, items)
        self.price = _normal(rng, items)
        self.taste = _normal(rng, items, TASTE_DIM) / np.float32(np.sqrt(TASTE_DIM))
        self.style = _styles(rng, self._centres[self.category])
        self._draw_tags(rng)
        rank = rng.permutation(items) + 10.0
        self._popularity = np.cumsum(rank**-0.9 * np.exp(0.4 * self.quality))  # a long tail
        self._span = START + DAYS * DAY + 1
        self._on_sale = self.category * self._span + self.launch  # sorted
        self._first = np.searchsorted(self.category, np.arange(self.num_categories))
        self._by_launch = np.argsort(self.launch, kind="stable")
        self._launches = self.launch[self._by_launch]
        self._arrivals = max(1, int(NEW_ARRIVALS * items))

    def _draw_tags(self, rng: np.random.Generator) -> None:
        count = rng.integers(0, MAX_TAGS + 1, size=self.num_items)
        self.tag_offsets = np.concatenate([[0], np.cumsum(count)])
        owner = np.repeat(np.arange(self.num_items), count)
        of_category = self.category[owner] * TAGS_PER_CATEGORY + rng.integers(TAGS_PER_CATEGORY, size=owner.size)
        stray = rng.integers(self.num_tags, size=owner.size)
        self.tags = np.where(rng.random(owner.size) < 0.8, of_category, stray)

    def new_users(self, rng: np.random.Generator, count: int) -> Users:
        """``count`` users with one to four interests each, in the categories that are in demand."""
        category = np.searchsorted(self._demand, rng.random((count, MAX_INTERESTS)))
        used = np.arange(MAX_INTERESTS) < rng.integers(1, MAX_INTERESTS + 1, size=count)[:, None]
        share = np.cumsum((rng.random((count, MAX_INTERESTS), np.float32) + 0.2) * used, axis=1)
        return Users(
            eagerness=_normal(rng, count),
            taste=_normal(rng, count, TASTE_DIM),
            interests=_styles(rng, self._centres[category]) * used[..., None].astype(np.float32),
            category=category,
            share=share / share[:, -1:],
            city=rng.zipf(1.3, size=count) % CITIES,
        )

    def shown(self, rng: np.random.Generator, users: Users, owner: np.ndarray, time: np.ndarray) -> np.ndarray:
        """What the market shows: for interests, for popularity, or because it is new. Only what is on sale by then.

        owner    [n]  int64 index into ``users``
        time     [n]  int64 seconds
        returns  [n]  int64 index of the items
        """
        size = owner.size
        why = rng.random(size, np.float32)
        category = np.searchsorted(self._demand, rng.random(size))
        mine = np.flatnonzero(why < EXPOSURE[0])
        interest = (users.share[owner[mine]] < rng.random((mine.size, 1), np.float32)).sum(axis=1)
        category[mine] = users.category[owner[mine], np.minimum(interest, MAX_INTERESTS - 1)]
        first, end = self.on_sale(category, time)
        last = end - 1
        below = np.where(first > 0, self._popularity[first - 1], 0.0)
        height = below + rng.random(size) * (self._popularity[last] - below)
        item = np.clip(np.searchsorted(self._popularity, height, side="right"), first, last)
        new = np.flatnonzero(why >= EXPOSURE[0] + EXPOSURE[1])
        launched = np.searchsorted(self._launches, time[new], side="right")
        back = (rng.random(new.size) * np.minimum(launched, self._arrivals)).astype(np.int64)
        item[new] = self._by_launch[launched - 1 - back]
        return item

    def on_sale(self, category: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What a category sells at a time: first item and the one behind the last, each [n] int64."""
        return self._first[category], np.searchsorted(self._on_sale, category * self._span + time, side="right")

    def log_odds(self, users: Users, owner: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Log-odds of a click, without the market's base rate.

        owner, item  [n]  int64
        returns      [n]  float32
        """
        closeness = np.einsum("nkd,nd->nk", users.interests[owner], self.style[item]).max(axis=1)
        match = np.einsum("nd,nd->n", users.taste[owner], self.taste[item])
        odds = np.float32(EAGERNESS) * users.eagerness[owner]
        odds += np.float32(QUALITY) * self.quality[item] - np.float32(PRICE) * self.price[item]
        odds += np.float32(TASTE) * match
        odds += np.float32(CONTENT) * (closeness - np.float32(0.3)) / np.float32(0.25)
        return odds
