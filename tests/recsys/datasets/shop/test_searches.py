"""Searches of the generated market: honest splits, real hard negatives, and rows that do not change for them."""

import json
import tracemalloc

import numpy as np
import pyarrow.parquet as pq
import pytest

from recsys.datasets.shop import searches as shop_searches
from recsys.datasets.shop.config import ShopConfig
from recsys.datasets.shop.market import DAY, SPLITS, START, Market
from recsys.datasets.shop.prepare import prepare
from recsys.datasets.shop.searches import write_searches
from tests.recsys.datasets.folders import digests, rows

CONFIG = ShopConfig(rows=3000, items=900, searches=1500, seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("shop") / "out"
    prepare(str(out), CONFIG)
    return out


@pytest.fixture(scope="module")
def market():
    return Market(CONFIG.items, CONFIG.seed)


def test_counts_are_exact_and_follow_time(folder):
    counts = {split: len(rows(folder / "searches" / "text", split)) for split in SPLITS}
    assert counts == {"train": 1200, "validation": 150, "test": 150}
    facts = json.loads((folder / "prepare.json").read_text())
    assert facts["searches"] == counts and facts["flags"]["searches"] == 1500


def test_rows_are_the_same_with_and_without_searches(folder, tmp_path):
    prepare(str(tmp_path / "bare"), ShopConfig(rows=3000, items=900, seed=1))
    bare, mine = digests(tmp_path / "bare"), digests(folder)
    assert {name for name in bare if bare[name] != mine[name]} == {"prepare.json"}
    assert not any(name.startswith(("items", "searches")) for name in bare)
    assert "searches" not in (tmp_path / "bare" / "prepare.json").read_text()


def test_same_seed_same_searches(folder, market, tmp_path):
    write_searches(tmp_path, market, CONFIG.seed, CONFIG.searches, SPLITS)
    again, mine = digests(tmp_path), digests(folder)
    assert again == {name: mine[name] for name in again} and len(again) == 9


def test_every_item_has_a_picture_and_a_title(folder):
    items = pq.read_table(folder / "items")
    assert items["item"].to_pylist() == list(range(CONFIG.items))
    assert not items["picture"].null_count and not items["title"].null_count
    assert len(set(items["picture"].to_pylist())) == len(set(items["title"].to_pylist())) == CONFIG.items


def test_both_kinds_hold_the_same_searches(folder):
    for split in SPLITS:
        image, text = (pq.read_table(folder / "searches" / kind / split) for kind in ("image", "text"))
        assert image.select(["item", "clicked"]).equals(text.select(["item", "clicked"]))
        assert all(query.startswith(b"\xff\xd8\xff") for query in image["query"].to_pylist())


def test_what_is_bought_is_on_sale_and_some_of_it_is_new(folder, market):
    place = np.argsort(market.ids)
    seen = {x["item"] for x in rows(folder / "searches" / "text", "train")}
    assert (market.launch[place[sorted(seen)]] < START + 24 * DAY).all()
    for split, last in (("validation", 27), ("test", 30)):
        bought = np.array([x["item"] for x in rows(folder / "searches" / "text", split)])
        assert (market.launch[place[bought]] < START + last * DAY).all()
        assert 0.05 < np.mean([item not in seen for item in bought.tolist()]) < 0.9


def test_what_was_clicked_is_near_but_not_the_one(market):
    rng = np.random.default_rng(0)
    columns, wanted, category = shop_searches._search(rng, market, 2000, START, START + 30 * DAY)
    place = np.argsort(market.ids)
    bought, clicked = place[columns["item"]], columns["clicked"]
    assert 0.15 < clicked.null_count / 2000 < 0.35
    there = np.flatnonzero(clicked.is_valid().to_numpy(zero_copy_only=False))
    other = place[clicked.drop_null().to_numpy()]
    assert (other != bought[there]).all() and (market.category[other] == category[there]).all()
    assert (market.category[bought] == category).all()

    def closeness(items: np.ndarray) -> np.ndarray:
        return (wanted[there] * market.style[items]).sum(axis=1)

    assert closeness(bought[there]).mean() > closeness(other).mean() + 0.2
    assert (closeness(bought[there]) > closeness(other)).mean() > 0.9
    strangers = rng.integers(market.num_items, size=there.size)
    assert closeness(other).mean() > closeness(strangers).mean() + 0.3


def test_a_category_with_one_item_has_no_hard_negative():
    market = Market(20, 0)
    columns, _, category = shop_searches._search(np.random.default_rng(0), market, 500, START, START + DAY)
    first, end = market.on_sale(category, np.full(500, START))
    alone = np.flatnonzero(end - first == 1)
    assert all(columns["clicked"][int(i)].as_py() is None for i in alone)


def test_memory_goes_by_the_block_not_by_searches(tmp_path, monkeypatch):
    monkeypatch.setattr(shop_searches, "BLOCK", 64)
    monkeypatch.setattr(shop_searches, "GROUP_ROWS", 64)
    market, peaks = Market(100, 0), []
    for n in (300, 1500):
        tracemalloc.start()
        write_searches(tmp_path / str(n), market, 0, n, SPLITS)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.15 * peaks[0]
