"""Searches in the generated market: pairs of a query and the item then bought, for pre-training encoders.

    items/                    item, picture, title: what encoders see of every item
    searches/image, /text     pairs.yaml; train, validation and test: query, item, clicked

A query is a photo, or words, of a style close to that of the item bought. ``clicked`` is an item of the same category
that comes close too, and was looked at, but not bought. Splits go by time, as those of the rows do: validation and test
have items that train never saw.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
from tqdm import tqdm

from recsys.datasets.io.split_writer import Columns, SplitWriter
from recsys.datasets.shop.market import DAY, DAYS, START, STYLE_DIM, Market, unit
from recsys.datasets.shop.pictures import CATALOGUE, PHOTO, jpegs, render
from recsys.datasets.shop.titles import Language
from recsys.scl.pairs_schema import Items, Pairs, Query, Reference, save_pairs

BLOCK = 1024  # items, or searches, made at once
GROUP_ROWS = 4096  # of parquet: some 5 MB of pictures
OFFERED = 8  # the best of so many items is bought
NEARBY = 16  # the clicked one is the closest of so many others
CLICKED_TOO = 0.8  # share of searches with a click besides the purchase
QUERY_NOISE = 0.35  # norm of what the query's style differs by
KINDS = {"image": "picture", "text": "title"}  # modality -> column of items


def write_searches(
    folder: Path, market: Market, seed: int, searches: int, splits: Mapping[str, tuple[int, int]]
) -> dict[str, int]:
    """Write ``items`` and ``searches`` into ``folder``; return the searches of each split.

    Args:
        splits: name -> first and last second, the last one outside.
    """
    language = Language(seed)
    _write_items(folder / "items", market, language, seed)
    for kind, column in KINDS.items():
        pairs = Pairs(
            query=Query(kind=kind),
            positive=Reference(column="item"),
            negative=Reference(column="clicked"),
            items=Items(path="../../items", column=column, kind=kind),
        )
        (folder / "searches" / kind).mkdir(parents=True)
        save_pairs(pairs, folder / "searches" / kind)
    counts = {}
    for number, (split, (start, end)) in enumerate(splits.items()):
        counts[split] = searches * (end - START) // (DAYS * DAY) - searches * (start - START) // (DAYS * DAY)
        with (
            SplitWriter(folder / "searches" / "image" / split, GROUP_ROWS) as images,
            SplitWriter(folder / "searches" / "text" / split, GROUP_ROWS) as texts,
        ):
            for rng, size in _blocks(seed, 6 + number, counts[split], f"searches, {split}"):
                columns, wanted, category = _search(rng, market, size, start, end)
                images.write({"query": pa.array(jpegs(render(rng, wanted, PHOTO))), **columns})
                texts.write({"query": pa.array(language.queries(rng, wanted, category)), **columns})
    return counts


def _write_items(folder: Path, market: Market, language: Language, seed: int) -> None:
    order = np.argsort(market.ids)
    first = 0
    with SplitWriter(folder, GROUP_ROWS) as writer:
        for rng, size in _blocks(seed, 5, market.num_items, "items"):
            index = order[first : first + size]
            first += size
            style, category = market.style[index], market.category[index]
            writer.write(
                {
                    "item": market.ids[index],
                    "picture": pa.array(jpegs(render(rng, style, CATALOGUE))),
                    "title": pa.array(language.titles(rng, style, category)),
                }
            )


def _blocks(seed: int, stream: int, count: int, what: str) -> Iterator[tuple[np.random.Generator, int]]:
    """Random numbers of its own and a size for each block of ``count`` things."""
    with tqdm(total=count, unit="", unit_scale=True, desc=f"prepare shop, {what}", disable=None) as bar:
        for block, start in enumerate(range(0, count, BLOCK)):
            size = min(BLOCK, count - start)
            yield np.random.default_rng([seed, stream, block]), size
            bar.update(size)


def _search(
    rng: np.random.Generator, market: Market, count: int, start: int, end: int
) -> tuple[Columns, np.ndarray, np.ndarray]:
    """Columns ``item`` and ``clicked``, the style wanted [n, STYLE_DIM], and the category [n]."""
    users = market.new_users(rng, count)
    owner = np.repeat(np.arange(count), OFFERED)
    time = rng.integers(start, end, size=count)
    offered = market.shown(rng, users, owner, np.repeat(time, OFFERED))
    odds = market.log_odds(users, owner, offered) + rng.gumbel(size=offered.size)
    bought = offered.reshape(-1, OFFERED)[np.arange(count), odds.reshape(-1, OFFERED).argmax(axis=1)]
    noise = unit(rng.standard_normal((count, STYLE_DIM), np.float32))
    wanted = unit(market.style[bought] + np.float32(QUERY_NOISE) * noise)

    category = market.category[bought]
    first, last = market.on_sale(category, time)
    near = (first[:, None] + rng.random((count, NEARBY)) * (last - first)[:, None]).astype(np.int64)
    closeness = np.einsum("nd,nkd->nk", wanted, market.style[near])
    closeness[near == bought[:, None]] = -2
    best = closeness.argmax(axis=1)
    clicked = near[np.arange(count), best]
    none = (rng.random(count) >= CLICKED_TOO) | (closeness[np.arange(count), best] == -2)
    columns: Columns = {"item": market.ids[bought], "clicked": pa.array(market.ids[clicked], mask=none)}
    return columns, wanted, category
