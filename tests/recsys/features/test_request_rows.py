"""Requests as features: what all candidates share is one row; names and lengths are checked."""

import numpy as np
import pytest

from embeddings.errors import InputError
from recsys.features.ragged import Ragged
from recsys.features.request_rows import RequestAssembler, joined
from recsys.features.table_rows import table_rows
from tests.train.data.rows import ITEMS, SCHEMA, STORED, TAGS, USERS, make_store


@pytest.fixture(scope="module")
def assemble(tmp_path_factory) -> RequestAssembler:
    return RequestAssembler(SCHEMA, {"image": make_store(tmp_path_factory.mktemp("request"))})


CONTEXT = {"user": np.array([-3]), "history": Ragged.from_lists([[1, 2, 3, -5, 40, 7, 9]]), "age": np.array([30])}
CANDIDATES = {
    "item": np.array([3, 17, 1 << 40]),
    "season": np.array([1, 9, -1]),
    "price": np.array([0.5, 1, 2]),
    "item_tags": Ragged.from_lists([[1, 2, 3], [], [-4]]),
}


def test_what_is_shared_is_there_once(assemble):
    rows = assemble(CONTEXT, CANDIDATES)
    assert rows.contexts == 1 and rows.candidates == 3 and rows.shared == {"user", "history"}
    assert rows.ids["user"].values.tolist() == [-3 % USERS]
    assert rows.ids["history"].values.tolist() == [i % ITEMS for i in (3, -5, 40, 7, 9)]
    assert len(rows.ids["history"]) == 1
    assert rows.ids["item"].values.tolist() == [3, 17 % ITEMS, (1 << 40) % ITEMS]
    assert rows.ids["tags"].values.tolist() == [2, 3, -4 % TAGS] and rows.ids["tags"].lengths.tolist() == [2, 0, 1]
    assert rows.dense.tolist() == [[0.5, 30], [1, 30], [2, 30]]
    assert {name: cut.tolist() for name, cut in rows.truncated.items()} == {
        "tags": [True, False, False],
        "history": [True],
    }


def first(column, rows):
    return column.take(slice(0, rows)) if isinstance(column, Ragged) else column[:rows]


def test_several_requests_are_one_after_the_other(assemble):
    other = {**CONTEXT, "user": np.array([5]), "history": Ragged.from_lists([[7]])}
    others = other, {name: first(column, 1) for name, column in CANDIDATES.items()}
    nobody = CONTEXT, {name: first(column, 0) for name, column in CANDIDATES.items()}
    requests = [(CONTEXT, CANDIDATES), nobody, others, (CONTEXT, CANDIDATES)]
    counts = [assemble.count(*request) for request in requests]
    assert counts == [3, 0, 1, 3]
    rows = assemble(*(joined([request[side] for request in requests]) for side in (0, 1)), counts)
    assert rows.contexts == 4 and rows.candidates == 7 and rows.bag_index.tolist() == [0, 0, 0, 2, 3, 3, 3]
    alone = [assemble(*request) for request in requests]
    for name, bags in rows.ids.items():
        wanted = Ragged.concatenate([one.ids[name] for one in alone])
        assert bags.values.tolist() == wanted.values.tolist() and bags.offsets.tolist() == wanted.offsets.tolist()
    assert rows.dense.tolist() == [row for one in alone for row in one.dense.tolist()]
    image, images = rows.frozen["image"], [one.frozen["image"] for one in alone]
    assert image.target.tolist() == [row for one in images for row in one.target.tolist()]
    assert image.history.tolist() == [row for one in images for row in one.history.tolist()]
    assert image.offsets.diff().tolist() == [5, 5, 1, 5] and image.bag_index.tolist() == rows.bag_index.tolist()
    assert rows.truncated["history"].tolist() == [True, True, False, True]
    assert rows.truncated["tags"].tolist() == [True, False, False, True, True, False, False]


def test_ids_outside_of_an_identity_table_stay_as_they_are(assemble):
    assert assemble(CONTEXT, CANDIDATES).ids["season"].values.tolist() == [1, 9, -1]


def test_vectors_are_looked_up_by_raw_id(assemble):
    rows = assemble(CONTEXT, CANDIDATES)
    image, store = rows.frozen["image"], sorted(STORED)
    assert image.target.tolist() == [store.index(3), -1, store.index(1 << 40)]
    assert image.history.tolist() == [store.index(3), store.index(-5), store.index(40), store.index(7), -1]
    assert image.offsets.tolist() == [0, 5] and image.bag_index.tolist() == [0, 0, 0]
    assert rows.missing["image"].tolist() == [False, True, False]


def test_histories_of_the_candidates_are_bags_of_their_own(assemble):
    context = {name: column for name, column in CONTEXT.items() if name != "history"}
    candidates = {**CANDIDATES, "history": Ragged.from_lists([[3], [], [7, 8]])}
    rows = assemble(context, candidates)
    assert rows.shared == {"user"} and len(rows.ids["history"]) == 3
    assert rows.frozen["image"].bag_index is None and rows.frozen["image"].offsets.tolist() == [0, 1, 1, 3]


def test_one_target_for_all(assemble):
    """A request may say once what all its rows are about."""
    context = {**CONTEXT, "item": np.array([7])}
    candidates = {name: column for name, column in CANDIDATES.items() if name != "item"}
    rows = assemble(context, candidates)
    assert rows.ids["item"].values.size == 1 and rows.frozen["image"].target.tolist() == [sorted(STORED).index(7)] * 3


def test_columns_of_rows_that_no_feature_reads_may_stay(assemble):
    assemble({**CONTEXT, "time": np.array([5])}, {**CANDIDATES, "label": np.zeros(3)})


@pytest.mark.parametrize(
    ("context", "candidates", "words"),
    [
        ({"itme": np.array([1])}, {}, r"context: no feature reads a column 'itme'; did you mean 'item'\?; allowed"),
        ({}, {"x y": np.zeros(3)}, "candidates: no feature reads a column 'x y'; allowed: "),
        ({"item": np.array([1])}, {}, "column 'item' is in context and in candidates; give it in one of them"),
        ({"user": None}, {}, "column 'user' is missing; give it in context, once for all candidates, or in candidates"),
        ({}, {"price": np.zeros(2)}, "candidates: column 'item' has 3 rows, wanted 2, as 'price' has"),
        ({}, {"label": np.zeros(4)}, "candidates: column 'label' has 4 rows, wanted 3, as 'price' has"),
        ({"user": np.array([1, 2])}, {}, "context: column 'user' has 2 rows, wanted 1"),
        ({}, {"price": np.array([0.5, np.nan, np.inf])}, "candidates, column 'price': 2 values are not finite"),
        ({}, {"item": np.array([1, 2**63, 3], np.uint64)}, "candidates, column 'item': got id 9223372036854775808"),
        ({}, {"item": np.zeros(3)}, "candidates, column 'item': got ids of type float64, wanted integers"),
    ],
)  # fmt: skip
def test_what_is_refused(assemble, context, candidates, words):
    given = [{**a, **b} for a, b in ((CONTEXT, context), (CANDIDATES, candidates))]
    given = [{name: column for name, column in side.items() if column is not None} for side in given]
    with pytest.raises(InputError, match=words):
        assemble(*given)


def test_candidates_are_needed(assemble):
    whole = {**CONTEXT, **{name: column.take(slice(0, 1)) if isinstance(column, Ragged) else column[:1]
                           for name, column in CANDIDATES.items()}}  # fmt: skip
    for candidates in ({}, {"label": np.zeros(3)}):
        with pytest.raises(InputError, match="candidates has no columns that a feature reads; give at least that of"):
            assemble(whole, candidates)


def test_tables_rows_are_those_of_files():
    out = np.empty(3, np.int64)
    table_rows(np.array([-1, 16, 5]), SCHEMA.tables["item"], out)
    assert out.tolist() == [15, 0, 5]
