"""A generated market as CTR rows: any size in bounded memory, the same rows for the same flags.

Users come in blocks. A block's users are made, shown items, their clicks written, and forgotten; only the items stay.
So memory goes by the number of items and the size of a block, not by rows or users.
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from embeddings.frozen.store import build_store
from recsys.datasets.io.data_folder import data_folder, write_description
from recsys.datasets.io.split_writer import Columns, SplitCount, SplitWriter, row_group_rows
from recsys.datasets.shop.config import ShopConfig
from recsys.datasets.shop.impressions import Histories, Impressions, base_log_odds, remember, show
from recsys.datasets.shop.item_vectors import encoded_items
from recsys.datasets.shop.market import CITIES, MAX_TAGS, SPLITS, Market, Users
from recsys.datasets.shop.searches import write_searches
from recsys.features.ragged import Ragged
from recsys.schema import Feature, Modality, Schema, TableSchema

BLOCK_ROWS = 131_072
BLOCK_VALUES = 4 << 20  # of histories: longer ones make smaller blocks


def prepare(out: str, config: ShopConfig | None = None, *, overwrite: bool = False) -> dict[str, SplitCount]:
    """Write a generated market as a data folder ``out``; return what each split holds.

    Raises InputError for an ``out`` that may not be written or a full disk.
    """
    config = config or ShopConfig()
    with data_folder(out, overwrite=overwrite) as folder:
        market = Market(config.num_items, config.seed)
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
            users=config.num_users,
            items=config.num_items,
            new_items=int(new.sum()),
            **facts,
        )
    return counts


def _write_splits(folder: Path, market: Market, config: ShopConfig) -> dict[str, SplitCount]:
    base = base_log_odds(market, config.click_rate, config.seed)
    block_rows = max(1, min(BLOCK_ROWS, BLOCK_VALUES // config.history))
    blocks = max(1, min(-(-config.rows // block_rows), config.num_users))
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
            first, last = config.num_users * block // blocks, config.num_users * (block + 1) // blocks
            wanted = config.rows * last // config.num_users - config.rows * first // config.num_users
            users = market.new_users(rng, last - first)
            impressions = show(rng, market, users, wanted, base)
            history = remember(rng, market, users, impressions, config.history)
            for split, rows in _split_rows(rng, impressions).items():
                for start in range(0, rows.size, group_rows):
                    part = rows[start : start + group_rows]
                    writers[split].write(_columns(market, users, first, impressions, history, part))
            bar.update(wanted)
    return {split: writer.count for split, writer in writers.items()}


def _split_rows(rng: np.random.Generator, shown: Impressions) -> dict[str, np.ndarray]:
    """Rows of each split. Train is mixed, which suits a reader with a shuffle window; the others go by time."""
    rows = {split: np.flatnonzero((shown.time >= a) & (shown.time < b)) for split, (a, b) in SPLITS.items()}
    return {
        split: rng.permutation(index) if split == "train" else index[np.argsort(shown.time[index], kind="stable")]
        for split, index in rows.items()
    }


def _columns(
    market: Market, users: Users, first_user: int, shown: Impressions, history: Histories, rows: np.ndarray
) -> Columns:
    owner, item = shown.owner[rows], shown.item[rows]
    return {
        "label": shown.label[rows],
        "user": first_user + owner,
        "item": market.ids[item],
        "timestamp": shown.time[rows],
        "city": users.city[owner],
        "category": market.category[item],
        "price": market.price[item],
        "tags": Ragged.from_ranges(market.tags, market.tag_offsets[item], market.tag_offsets[item + 1]),
        "history": Ragged.from_ranges(market.ids[history.items], history.starts[rows], history.ends[rows]),
    }


def _schema(market: Market, config: ShopConfig) -> Schema:
    def table(rows: int) -> TableSchema:
        return TableSchema(num_embeddings=rows, ids="identity")

    return Schema(
        timestamp="timestamp",
        tables={
            "user": table(config.num_users),
            "item": table(config.num_items),
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
