"""A generated market as CTR rows: any size in bounded memory, the same rows for the same flags.

Users come in blocks. A block's users are made, shown items, their clicks written, and forgotten; only the items stay.
So memory goes by the number of items and the size of a block, not by rows or users.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from embeddings.errors import InputError
from embeddings.frozen.store import build_store
from recsys.datasets.io.data_folder import Count, Lists, SplitWriter, data_folder, row_group_rows, write_description
from recsys.datasets.shop.impressions import Histories, Impressions, click_probability, remember, show
from recsys.datasets.shop.market import (
    CITIES,
    DAY,
    DAYS,
    MAX_TAGS,
    START,
    STYLE_DIM,
    TRAIN_DAYS,
    VALIDATION_DAYS,
    Market,
    Users,
    unit,
)
from recsys.datasets.shop.searches import write_searches
from recsys.schema import Feature, Modality, Schema, Table

BLOCK_ROWS = 131_072
BLOCK_VALUES = 4 << 20  # of histories: longer ones make smaller blocks
ENCODER_NOISE = 0.5  # norm of the noise that the encoder adds to a unit vector
LARGEST_USER_ROWS = 10_000  # mean over users, who are never split between blocks
PILOT_ROWS = 50_000  # impressions that set the base rate
SPLITS = {
    "train": (START, START + TRAIN_DAYS * DAY),
    "validation": (START + TRAIN_DAYS * DAY, START + (TRAIN_DAYS + VALIDATION_DAYS) * DAY),
    "test": (START + (TRAIN_DAYS + VALIDATION_DAYS) * DAY, START + DAYS * DAY),
}


@dataclass(frozen=True, kw_only=True)
class ShopConfig:
    """The market's size. ``users`` and ``items`` of None follow from ``rows``. No ``searches``: no pictures."""

    rows: int = 300_000
    users: int | None = None  # rows / 50
    items: int | None = None  # rows ** 0.75: 13,000 for 300,000 rows, a million for 10^8
    history: int = 30
    width: int = 64
    click_rate: float = 0.17
    searches: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        self._check("rows", 1_000, 10**10)
        if self.users is None:
            object.__setattr__(self, "users", self.rows // 50)
        if self.items is None:
            object.__setattr__(self, "items", round(self.rows**0.75))
        self._check("users", -(-self.rows // LARGEST_USER_ROWS), self.rows)
        self._check("items", 20, 10**9)
        self._check("history", 1, 10_000)
        self._check("width", 2, 65_536)
        self._check("click_rate", 0.001, 0.999)
        self._check("searches", 0, 10**9)
        self._check("seed", 0, 2**63 - 1)

    def _check(self, name: str, low: float, high: float) -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            raise InputError(f"{name.replace('_', '-')} is {value:,}; allowed: {low:,} to {high:,}")


def prepare(out: str, config: ShopConfig | None = None, *, overwrite: bool = False) -> dict[str, Count]:
    """Write a generated market as a data folder ``out``; return what each split holds.

    Raises InputError for an ``out`` that may not be written or a full disk.
    """
    config = config or ShopConfig()
    with data_folder(out, overwrite=overwrite) as folder:
        market = Market(config.items, config.seed)
        build_store(
            str(folder / "frozen" / "content"),
            market.ids,
            encoded_items(market, config.width, config.seed),
            encoder="generated: a noisy, unevenly scaled view of the hidden style",
        )
        counts = _write_splits(folder, market, config)
        new = market.launch >= SPLITS["validation"][0]
        flags, facts = asdict(config), {}
        if config.searches:
            facts["searches"] = write_searches(folder, market, config.seed, config.searches, SPLITS)
        else:  # the same bytes as before there were searches
            del flags["searches"]
        write_description(
            folder,
            _schema(market, config),
            "shop",
            flags,
            counts,
            users=config.users,
            items=config.items,
            new_items=int(new.sum()),
            **facts,
        )
    return counts


def encoded_items(market: Market, width: int, seed: int) -> np.ndarray:
    """Vectors of an imperfect encoder: it weighs directions of style unevenly and adds noise.

    returns  [I, width]  float16, near unit vectors
    """
    rng = np.random.default_rng([seed, 1])
    turn = np.linalg.qr(rng.standard_normal((max(width, STYLE_DIM), STYLE_DIM)))[0][:width]
    view = (turn * rng.uniform(0.5, 1.5, size=STYLE_DIM)).T.astype(np.float32)
    vectors = np.empty((market.num_items, width), np.float16)
    step = max(1, BLOCK_VALUES // width)
    for start in range(0, market.num_items, step):
        block = unit(market.style[start : start + step] @ view)
        noise = rng.standard_normal(block.shape, np.float32) * np.float32(ENCODER_NOISE / np.sqrt(width))
        vectors[start : start + step] = unit(block + noise)
    return vectors


def _write_splits(folder: Path, market: Market, config: ShopConfig) -> dict[str, Count]:
    base = _base_odds(market, config)
    block_rows = max(1, min(BLOCK_ROWS, BLOCK_VALUES // config.history))
    blocks = max(1, min(-(-config.rows // block_rows), config.users))
    group_rows = row_group_rows(config.history)
    writers = {split: SplitWriter(folder / split, group_rows) for split in SPLITS}
    with (
        writers["train"],
        writers["validation"],
        writers["test"],
        tqdm(total=config.rows, unit="row", unit_scale=True, desc="prepare shop", disable=None) as bar,
    ):
        for block in range(blocks):
            rng = np.random.default_rng([config.seed, 3, block])
            first, last = config.users * block // blocks, config.users * (block + 1) // blocks
            wanted = config.rows * last // config.users - config.rows * first // config.users
            users = market.new_users(rng, last - first)
            impressions = show(rng, market, users, wanted, base)
            history = remember(rng, market, users, impressions, config.history)
            for split, rows in _split_rows(rng, impressions).items():
                for start in range(0, rows.size, group_rows):
                    part = rows[start : start + group_rows]
                    writers[split].write(_columns(market, users, first, impressions, history, part))
            bar.update(wanted)
    return {split: writer.count for split, writer in writers.items()}


def _base_odds(market: Market, config: ShopConfig) -> float:
    """The constant that makes the mean click rate ``config.click_rate``, found on a pilot of impressions."""
    rng = np.random.default_rng([config.seed, 2])
    users = market.new_users(rng, PILOT_ROWS // 10)
    owner = rng.integers(len(users), size=PILOT_ROWS)
    time = rng.integers(START, START + DAYS * DAY, size=PILOT_ROWS)
    odds = market.log_odds(users, owner, market.shown(rng, users, owner, time))
    low, high = -50.0, 50.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if click_probability(odds + middle).mean() < config.click_rate else (low, middle)
    return low


def _split_rows(rng: np.random.Generator, shown: Impressions) -> dict[str, np.ndarray]:
    """Rows of each split. Train is mixed, which suits a reader with a shuffle window; the others go by time."""
    rows = {split: np.flatnonzero((shown.time >= a) & (shown.time < b)) for split, (a, b) in SPLITS.items()}
    return {
        split: rng.permutation(index) if split == "train" else index[np.argsort(shown.time[index], kind="stable")]
        for split, index in rows.items()
    }


def _columns(
    market: Market, users: Users, first_user: int, shown: Impressions, history: Histories, rows: np.ndarray
) -> dict[str, np.ndarray | Lists]:
    owner, item = shown.owner[rows], shown.item[rows]
    return {
        "label": shown.label[rows],
        "user": first_user + owner,
        "item": market.ids[item],
        "timestamp": shown.time[rows],
        "city": users.city[owner],
        "category": market.category[item],
        "price": market.price[item],
        "tags": Lists.taken(market.tags, market.tag_offsets[item], market.tag_offsets[item + 1]),
        "history": Lists.taken(market.ids[history.items], history.starts[rows], history.ends[rows]),
    }


def _schema(market: Market, config: ShopConfig) -> Schema:
    def table(rows: int) -> Table:
        return Table(num_embeddings=rows, ids="identity")

    return Schema(
        timestamp="timestamp",
        tables={
            "user": table(config.users),
            "item": table(config.items),
            "city": table(CITIES),
            "category": table(market.num_categories),
            "tag": table(market.num_tags),
        },
        features=[
            Feature(name="user", kind="id", table="user"),
            Feature(name="city", kind="id", table="city"),
            Feature(name="item", kind="id", table="item"),
            Feature(name="category", kind="id", table="category"),
            Feature(name="price", kind="dense"),
            Feature(name="tags", kind="bag", table="tag", max_length=MAX_TAGS),
            Feature(name="history", kind="sequence", table="item", target="item", max_length=config.history),
        ],
        modalities={"content": Modality(store="frozen/content", target="item", history="history")},
    )
