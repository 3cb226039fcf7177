"""The generated market: nothing leaks from the future, and what it is said to show is there."""

import json
import tracemalloc
from collections import Counter

import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.frozen.store import FrozenStore
from recsys.datasets.shop import prepare as shop
from recsys.datasets.shop.config import ShopConfig
from recsys.datasets.shop.impressions import remember, show
from recsys.datasets.shop.market import DAY, START, Market
from recsys.datasets.shop.prepare import prepare
from recsys.features.ragged import Ragged
from recsys.schema import load_schema
from tests.recsys.datasets.folders import digests, rows

CONFIG = ShopConfig(rows=12_000, history=12, width=24, seed=1)
LIMITS = {"train": (0, 24), "validation": (24, 27), "test": (27, 30)}  # days


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("shop") / "out"
    prepare(str(out), CONFIG)
    return out


@pytest.fixture(scope="module")
def splits(folder):
    return {split: rows(folder, split) for split in LIMITS}


def test_counts_are_exact_and_told(folder, splits):
    assert sum(len(r) for r in splits.values()) == 12_000
    facts = json.loads((folder / "prepare.json").read_text())
    assert facts["rows"] == {s: len(r) for s, r in splits.items()}
    assert facts["positives"] == {s: sum(x["label"] for x in r) for s, r in splits.items()}
    assert facts["flags"]["users"] == 240 and len({x["user"] for r in splits.values() for x in r}) == 240
    assert 0.75 < len(splits["train"]) / 12_000 < 0.85


def test_splits_follow_time(splits):
    for split, (first, last) in LIMITS.items():
        times = [x["timestamp"] for x in splits[split]]
        assert START + first * DAY <= min(times) and max(times) < START + last * DAY


def test_new_items_never_reach_train(folder, splits):
    market = Market(CONFIG.items, CONFIG.seed)
    new = set(market.ids[market.launch >= START + 24 * DAY].tolist())
    assert len(new) == json.loads((folder / "prepare.json").read_text())["new_items"] > 0.04 * CONFIG.items
    for x in splits["train"]:
        assert x["item"] not in new and not new & set(x["history"])
    for split in ("validation", "test"):
        share = np.mean([x["item"] in new for x in splits[split]])
        assert 0.05 < share < 0.35


def test_history_is_what_the_user_clicked_strictly_before(splits):
    everything = [x for r in splits.values() for x in r]
    clicks = {}
    for x in sorted(everything, key=lambda x: x["timestamp"]):
        if x["label"]:
            clicks.setdefault(x["user"], []).append((x["timestamp"], x["item"]))
    warm_up = {}  # the start of a history that clicks do not fill: the same for all of a user's impressions
    full = 0
    for x in everything:
        before = [c for c in clicks.get(x["user"], []) if c[0] < x["timestamp"]]
        history = x["history"]
        assert len(history) <= 12
        if len(before) <= 12:  # within one request the order of clicks is open
            known = history[len(history) - len(before) :]
            assert Counter(known) == Counter(i for _, i in before)
            rest = history[: len(history) - len(before)]
            longest = warm_up.setdefault(x["user"], rest)
            n = min(len(rest), len(longest))
            assert not n or rest[-n:] == longest[-n:]
            warm_up[x["user"]] = max(rest, longest, key=len)
        else:
            full += 1
            assert len(history) == 12 and not Counter(history) - Counter(i for _, i in before)
            surely = [i for t, i in before if t > before[-12][0]]
            assert not Counter(surely) - Counter(history)
    assert full > 100
    assert {len(x["history"]) for x in everything} == set(range(13))


def test_every_kind_of_feature_fits_its_table(folder, splits):
    schema = load_schema(str(folder))
    assert {f.kind for f in schema.features} == {"id", "bag", "sequence", "dense"}
    seen = {f.name: set() for f in schema.features}
    for r in splits.values():
        for x in r:
            for f in schema.features:
                seen[f.name] |= set(x[f.source]) if f.kind in ("bag", "sequence") else {x[f.source]}
    for f in schema.features:
        if f.kind != "dense":
            assert min(seen[f.name]) >= 0 and max(seen[f.name]) < schema.tables[f.table].num_embeddings
            assert len(seen[f.name]) > 10
    assert {len(x["tags"]) for x in splits["train"]} == set(range(6))


def test_store_holds_a_vector_for_each_item(folder):
    store = FrozenStore.open(str(folder / "frozen" / "content"))
    assert (store.width, store.dtype) == (24, "float16")
    assert (store.ids == np.arange(CONFIG.items)).all()


def test_same_flags_same_files(folder, tmp_path):
    prepare(str(tmp_path / "again"), CONFIG)
    assert digests(tmp_path / "again") == digests(folder)
    prepare(str(tmp_path / "other"), ShopConfig(rows=12_000, history=12, width=24, seed=2))
    other, mine = digests(tmp_path / "other"), digests(folder)
    assert {n for n in mine if mine[n] != other[n]} >= {"train/part-00000.parquet", "frozen/content/vectors.npy"}


def test_click_rate_is_the_one_asked_for(splits, tmp_path):
    assert np.mean([x["label"] for r in splits.values() for x in r]) == pytest.approx(0.17, abs=0.025)
    counts = prepare(str(tmp_path / "out"), ShopConfig(rows=12_000, click_rate=0.4))
    assert sum(c.positives for c in counts.values()) / 12_000 == pytest.approx(0.4, abs=0.04)


def test_only_items_on_sale_are_shown_and_their_popularity_has_a_long_tail():
    market = Market(3000, 0)
    rng = np.random.default_rng(0)
    users = market.new_users(rng, 500)
    owner = rng.integers(500, size=200_000)
    time = rng.integers(START - 80 * DAY, START + 30 * DAY, size=200_000)
    item = market.shown(rng, users, owner, time)
    assert (market.launch[item] <= time).all()
    count = np.sort(np.bincount(item, minlength=3000))[::-1]
    assert count[:30].sum() > 10 * 0.01 * count.sum()  # the top 1 % of items
    assert np.median(count) < count.mean() / 2
    late = time > START + 29 * DAY
    assert 0.1 < (market.launch[item[late]] > START + 15 * DAY).mean() < 0.5  # new arrivals are shown, and not alone


def test_content_and_taste_both_move_clicks():
    market = Market(3000, 0)
    rng = np.random.default_rng(0)
    users = market.new_users(rng, 500)
    owner = rng.integers(500, size=50_000)
    item = market.shown(rng, users, owner, np.full(50_000, START + DAY))
    odds = market.log_odds(users, owner, item)
    closeness = np.einsum("nkd,nd->nk", users.interests[owner], market.style[item]).max(axis=1)
    match = (users.taste[owner] * market.taste[item]).sum(axis=1)
    for cause in (closeness, match, market.quality[item]):
        assert 0.2 < np.corrcoef(cause, odds)[0, 1] < 0.9


def test_the_encoder_is_good_but_imperfect():
    market = Market(3000, 0)
    pairs = np.random.default_rng(0).integers(3000, size=(2, 20_000))
    true = (market.style[pairs[0]] * market.style[pairs[1]]).sum(axis=1)
    for width in (8, 64):
        vectors = shop.encoded_items(market, width, 0).astype(np.float32)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)
        seen = (vectors[pairs[0]] * vectors[pairs[1]]).sum(axis=1)
        assert 0.4 < np.corrcoef(true, seen)[0, 1] < 0.9


def test_warm_up_histories_show_each_users_own_taste():
    market = Market(3000, 0)
    rng = np.random.default_rng(0)
    users = market.new_users(rng, 500)
    shown = show(rng, market, users, 5_000, -50.0)  # nobody clicks
    assert not shown.label.any()
    history = remember(rng, market, users, shown, 20)
    by = np.repeat(shown.owner, history.ends - history.starts)
    past = Ragged.from_ranges(history.items, history.starts, history.ends).values
    assert (market.launch[past] < START).all()
    chosen = market.log_odds(users, by, past).mean()
    strangers = market.log_odds(users, (by + 250) % 500, past).mean()
    offered = market.log_odds(users, shown.owner, shown.item).mean()
    assert chosen > strangers + 0.5 and chosen > offered + 0.5


def test_blocks_are_made_of_different_users(tmp_path, monkeypatch):
    monkeypatch.setattr(shop, "BLOCK_ROWS", 1000)
    counts = prepare(str(tmp_path / "out"), ShopConfig(rows=4000, users=40))
    written = [x for s in LIMITS for x in rows(tmp_path / "out", s)]
    assert len(written) == sum(c.rows for c in counts.values()) == 4000
    times = [{x["timestamp"] for x in written if x["user"] // 10 == block} for block in range(4)]
    assert all(times)
    assert all(len(a & b) < 5 for i, a in enumerate(times) for b in times[:i])


def test_memory_goes_by_the_block_not_by_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(shop, "BLOCK_ROWS", 4096)
    peaks = []
    for n in (20_000, 80_000):
        tracemalloc.start()
        prepare(str(tmp_path / str(n)), ShopConfig(rows=n, items=500, history=5, width=4))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.15 * peaks[0]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"rows": 999}, r"rows is 999; allowed: 1,000 to 10,000,000,000"),
        ({"rows": -5}, r"rows is -5"),
        ({"rows": 10_000, "users": 10_001}, r"users is 10,001; allowed: 1 to 10,000"),
        ({"rows": 100_000, "users": 9}, r"users is 9; allowed: 10 to 100,000"),
        ({"items": 19}, r"items is 19; allowed: 20 to"),
        ({"history": 0}, r"history is 0; allowed: 1 to"),
        ({"width": 1}, r"width is 1; allowed: 2 to"),
        ({"click_rate": 1.5}, r"click-rate is 1\.5; allowed: 0\.001 to 0\.999"),
        ({"seed": -1}, r"seed is -1; allowed: 0 to"),
    ],
)
def test_flags_out_of_range(flags, message):
    with pytest.raises(InputError, match=message):
        ShopConfig(**flags)


@pytest.mark.parametrize(
    "flags", [{"users": 1, "items": 20}, {"users": 1000}, {"history": 1, "width": 2}, {"history": 10_000}]
)
def test_edge_sizes(tmp_path, flags):
    counts = prepare(str(tmp_path / "out"), ShopConfig(rows=1000, **flags))
    assert sum(c.rows for c in counts.values()) == 1000
    assert {x["user"] for s in LIMITS for x in rows(tmp_path / "out", s)} == set(range(flags.get("users", 20)))
