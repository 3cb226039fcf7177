"""Counters of reading: added up over batches and threads, and the share of ids without a vector."""

from recsys.features.read_counters import ReadCounters


def test_every_count_is_added():
    total = ReadCounters(rows=3, corrupt=1, truncated={"tags": 1}, lookups={"image": 8}, missing={"image": 1})
    more = ReadCounters(2, 1, {"tags": 2, "history": 1}, {"image": 2, "text": 5}, {"image": 2})
    total.add(more)
    assert total == ReadCounters(5, 2, {"tags": 3, "history": 1}, {"image": 10, "text": 5}, {"image": 3})
    assert more == ReadCounters(2, 1, {"tags": 2, "history": 1}, {"image": 2, "text": 5}, {"image": 2})


def test_the_share_without_a_vector():
    counters = ReadCounters(lookups={"image": 8, "text": 0}, missing={"image": 2})
    assert [counters.missing_share(name) for name in ("image", "text", "video")] == [0.25, 0.0, 0.0]
