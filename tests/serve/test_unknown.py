"""What a model does not know of a request: items and users that training never changed, vectors that are not there."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from embeddings.errors import InputError
from recsys.exported.model import ExportedModel
from recsys.features.ragged import Ragged
from recsys.features.request_rows import RequestAssembler, RequestRows
from recsys.schema import Schema
from serve.unknown import look_for_unknown
from tests.recsys.exported.artefacts import NEVER_TRAINED, columns, export
from tests.recsys.exported.test_model import MODELS, arrays


@pytest.fixture(scope="module")
def model(data, tmp_path_factory) -> ExportedModel:
    return ExportedModel.open(
        export(tmp_path_factory.mktemp("unknown") / "m", data, MODELS["two modalities"]).folder, {}
    )


def rows(model: ExportedModel, items: list[int], user: int = 1, **changed) -> RequestRows:
    given = columns(len(items)) | {"item": items} | changed
    context = {"user": [user], "history": [[3, 5]], "bought": [[3]]}
    rest = {name: values for name, values in given.items() if name not in context}
    return RequestAssembler(model.schema, model.stores)(arrays(context), arrays(rest))


def test_items_users_and_vectors(model):
    unknown = look_for_unknown(model, rows(model, [4, 3, 17, 999, -1, 5]))
    assert unknown.items.tolist() == [False, True, True, True, True, False] and not unknown.user
    assert unknown.vectors["image"].tolist() == [False, True, True, True, True, True]
    assert unknown.vectors["text"].tolist() == [False, False, False, True, True, False]
    for user in (*NEVER_TRAINED, 10**6, -1):
        assert look_for_unknown(model, rows(model, [4], user)).user


def test_refusals_name_the_first(model):
    unknown = look_for_unknown(model, rows(model, [4, 3, 17], user=3))
    for wanted, words in (
        ((True, False, False), "2 of 3 items were not trained on, the first is candidate 1; leave them out"),
        ((False, True, False), "context: the user was not trained on"),
        (
            (False, False, True),
            "2 of 3 have no vector of modality 'image', the first is candidate 1; leave",
        ),
    ):
        with pytest.raises(InputError, match=words):
            unknown.refuse(*wanted)
    unknown.refuse(False, False, False)
    look_for_unknown(model, rows(model, [4, 6])).refuse(True, True, True)


def test_zeros_are_looked_up_instead(model):
    given = rows(model, [4, 3, 17], user=3)
    unknown = look_for_unknown(model, given)
    unknown.zero(given, items=False, user=False)
    assert given.ids["item"].values.tolist() == [4, 3, 17] and given.ids["user"].values.tolist() == [3]
    unknown.zero(given, items=True, user=True)
    assert given.ids["item"].values.tolist() == [4, -1, -1] and given.ids["user"].values.tolist() == [-1]
    assert given.ids["history"].values.tolist() == [3, 5], "a behaviour stays as it is"


def test_a_target_that_all_share(model):
    given = columns(2)
    context = {"user": [1], "history": [[3]], "bought": [[3]], "item": [3]}
    rest = {name: values for name, values in given.items() if name not in context}
    shared = RequestAssembler(model.schema, model.stores)(arrays(context), arrays(rest))
    unknown = look_for_unknown(model, shared)
    assert unknown.items.tolist() == [True, True]
    unknown.zero(shared, items=True, user=False)
    assert shared.ids["item"].values.tolist() == [-1]


def test_a_model_without_tables_knows_vectors_alone(data, tmp_path):
    model = ExportedModel.open(export(tmp_path / "m", data, MODELS["arch make"]).folder, {})
    unknown = look_for_unknown(model, rows(model, [4, 3]))
    assert not unknown.items.any() and not unknown.user and unknown.vectors["image"].tolist() == [False, True]
    assert np.array_equal(unknown.items, np.zeros(2, bool)) and not unknown.item_ids


# Two features read the item's column and two the user's, each with a table of its own
TWICE = Schema.model_validate(
    {
        "tables": {
            name: {"num_embeddings": rows} for name, rows in (("item", 50), ("few", 8), ("user", 50), ("age", 8))
        },
        "features": [
            {"name": "item", "kind": "id", "table": "item"},
            {"name": "item_few", "kind": "id", "table": "few", "column": "item"},
            {"name": "user_id", "kind": "id", "table": "user", "column": "user"},
            {"name": "user_few", "kind": "id", "table": "age", "column": "user"},
            {"name": "city", "kind": "id", "table": "few"},
        ],
    }
)
LEARNT = {"item": range(40), "few": (0, 1, 2, 3, 4), "user": range(40), "age": (0, 1, 2, 3, 4)}


def twice() -> Any:
    """A model of that schema, of which training changed some rows."""
    tables = {
        name: SimpleNamespace(trained=lambda rows, known=known: np.isin(rows, known)) for name, known in LEARNT.items()
    }
    return SimpleNamespace(schema=TWICE, tables=tables)


def given_rows(item: list[int], user: list[int], bag_index: list[int], shared: frozenset[str]) -> RequestRows:
    """Rows of candidates with these ids, city 7 each; a column may be that of contexts."""

    def bags(values: list[int]) -> Ragged:
        return Ragged.from_lists([[value] for value in values])

    count = len(bag_index)
    ids = {"item": bags([i % 50 for i in item]), "item_few": bags([i % 8 for i in item]), "city": bags([7] * count)}
    ids |= {"user_id": bags([u % 50 for u in user]), "user_few": bags([u % 8 for u in user])}
    index = torch.tensor(bag_index, dtype=torch.int64)
    contexts = max(bag_index, default=0) + 1
    return RequestRows(contexts, count, torch.zeros(count, 0), ids, {}, index, shared, {}, {})


SHARED_USERS = frozenset({"user_id", "user_few"})


def values(rows: RequestRows) -> dict[str, list[int]]:
    return {name: bags.values.tolist() for name, bags in rows.ids.items()}


def test_every_feature_of_an_id_is_looked_at_in_its_own_table():
    """Item 45 is unknown in table item, 6 in few, 47 in both; user 41 in user, 5 in age."""
    rows = given_rows([1, 45, 6, 47], [41, 5, 2], [0, 0, 1, 2], SHARED_USERS)
    unknown = look_for_unknown(twice(), rows)
    assert unknown.items.tolist() == [False, True, True, True] and unknown.users.tolist() == [True, True, False]
    before = values(rows)
    unknown.zero(rows, items=True, user=False)
    assert values(rows) == before | {"item": [1, -1, 6, -1], "item_few": [1, -1, -1, -1]}
    unknown.zero(rows, items=False, user=True)
    assert rows.ids["user_id"].values.tolist() == [-1, 5, 2] and rows.ids["user_few"].values.tolist() == [1, -1, 2]
    assert rows.ids["city"].values.tolist() == [7] * 4, "another column's ids stay, whatever their table"


def test_users_that_come_with_the_candidates():
    """A context has an unknown user where one of its candidates does; each is zeroed by itself."""
    rows = given_rows([1, 2, 3], [2, 41, 3], [0, 0, 1], frozenset())
    unknown = look_for_unknown(twice(), rows)
    assert unknown.users.tolist() == [True, False] and unknown.user
    unknown.zero(rows, items=True, user=True)
    assert rows.ids["user_id"].values.tolist() == [2, -1, 3] and rows.ids["user_few"].values.tolist() == [2, 1, 3]


def test_items_that_contexts_share():
    rows = given_rows([45, 2], [2, 3, 3], [1, 0, 1], frozenset({"item", "item_few"}))
    unknown = look_for_unknown(twice(), rows)
    assert unknown.items.tolist() == [False, True, False]
    unknown.zero(rows, items=True, user=True)
    assert rows.ids["item"].values.tolist() == [-1, 2]


@pytest.mark.parametrize("shared", [SHARED_USERS, frozenset()])
def test_no_candidates(shared):
    unknown = look_for_unknown(twice(), given_rows([], [41] if shared else [], [], shared))
    assert unknown.items.size == 0 and unknown.users.tolist() == [bool(shared)]
