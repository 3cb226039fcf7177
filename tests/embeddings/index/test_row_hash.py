"""The hash table id -> row against a dict, and against a thread that looks up while it grows."""

import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from embeddings.index.row_hash import RowHash

INT64 = st.integers(-(2**63), 2**63 - 1)
COLLIDING = st.integers(0, 40).map(lambda k: k * 2**54)  # under multiplication these share the first places
STEPS = st.lists(st.dictionaries(INT64 | COLLIDING, st.integers(-1, 2**40), max_size=60), max_size=12)


@given(STEPS, st.lists(INT64 | COLLIDING, max_size=20))
def test_finds_what_a_dict_finds(steps, others):
    table, expected = RowHash(), {}
    for step in steps:
        table.put(np.array(list(step), np.int64), np.array(list(step.values()), np.int64))
        expected |= step
        asked = np.array([*expected, *others], np.int64)
        assert table.find(asked).tolist() == [expected.get(i, -1) for i in asked.tolist()]
    ids, rows = table.held()
    held = {k: v for k, v in expected.items() if v >= 0}
    assert dict(zip(ids.tolist(), rows.tolist(), strict=True)) == held


def test_extreme_ids_and_shapes():
    ids = np.array([-(2**63), 2**63 - 1, 0, -1, -2], np.int64)
    table = RowHash()
    table.put(ids, np.arange(5))
    assert table.find(ids.reshape(5, 1)).tolist() == [[0], [1], [2], [3], [4]]
    assert table.find(np.empty((2, 0), np.int64)).shape == (2, 0)
    assert table.find(np.array([1, 2], np.int64)[::-1]).tolist() == [-1, -1]


def test_deleted_ids_make_room_where_it_grows():
    table = RowHash()
    for first in range(0, 200_000, 1000):
        ids = np.arange(first, first + 1000)
        table.put(ids, ids)
        table.put(ids, np.full(1000, -1))
    assert len(table._table) <= 8192
    assert table.held()[0].size == 0


def test_more_ids_than_are_put_at_once():
    ids = np.random.default_rng(0).integers(-(2**63), 2**63 - 1, 300_000)
    ids = np.unique(ids)
    table = RowHash(ids.size)
    table.put(ids, np.arange(ids.size))
    assert (table.find(ids) == np.arange(ids.size)).all()
    assert (table.find(ids + 1)[~np.isin(ids + 1, ids)] == -1).all()


def test_a_look_up_beside_a_put_finds_each_id_right_or_not_yet():
    table, done, wrong = RowHash(), threading.Event(), []
    ids = np.random.default_rng(1).permutation(60_000).astype(np.int64)

    def look() -> None:
        while not done.is_set():
            rows = table.find(ids)
            if not ((rows == 2 * ids) | (rows == -1)).all():
                wrong.append(rows)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for first in range(0, ids.size, 500):
            table.put(ids[first : first + 500], 2 * ids[first : first + 500])
    finally:
        done.set()
        thread.join()
    assert not wrong
    assert (table.find(ids) == 2 * ids).all()
