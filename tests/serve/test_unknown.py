"""What a model does not know of a request: items and users that training never changed, vectors that are not there."""

import numpy as np
import pytest

from embeddings.errors import InputError
from recsys.exported.model import ExportedModel
from recsys.features.request_rows import RequestAssembler, RequestRows
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
    assert np.array_equal(unknown.items, np.zeros(2, bool)) and unknown.item_feature is None
