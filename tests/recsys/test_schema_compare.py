"""Schemas compared: what is told apart, what passes, and with which columns and stores a folder is read."""

import copy

import pytest

from embeddings.errors import InputError
from recsys.schema import Schema
from recsys.schema_compare import located, refuse_other_schema, renamed_columns, schema_digest
from tests.recsys.test_schema import RAW, put

TRAINED = Schema.model_validate(RAW)
AGE = {"name": "age", "kind": "dense"}


def edited(*changes) -> Schema:
    raw = copy.deepcopy(RAW)
    for change in changes:
        change(raw)
    return Schema.model_validate(raw)


def refusal(here: Schema, trained: Schema = TRAINED, same_inputs: bool = False) -> str | None:
    try:
        refuse_other_schema(trained, here, "'data/schema.yaml'", ["text"], same_inputs=same_inputs)
    except InputError as error:
        assert str(error).startswith("'data/schema.yaml' is not the schema that the run was trained with: ")
        assert str(error).endswith("; put it back, name a folder with data of the run's schema, or train a new run")
        return str(error)
    return None


def drop(section, name):
    def change(raw):
        raw[section] = [f for f in raw[section] if f["name"] != name]

    return change


def add(raw):
    raw["features"].insert(0, dict(AGE))


WRONG = {
    "rows of a table": (put("tables", "item", "num_embeddings", 8), "tables.item.num_embeddings is 8, trained with 7"),
    "its ids": (put("tables", "item", "ids", "hash"), "tables.item.ids is hash, trained with modulo"),
    "its width": (put("tables", "item", "embedding_dim", None), "tables.item.embedding_dim is null, trained with 3"),
    "a length": (put("features", 4, "max_length", 2), "features.history.max_length is 2, trained with 9"),
    "pooling": (put("features", 2, "pooling", "mean"), "features.tags.pooling is mean, trained with sum"),
    "a kind": (
        put("features", 3, {"name": "price", "kind": "id", "table": "user"}),
        "features.price.kind is id, trained with dense; features.price.table is user, trained with null",
    ),
    "a feature": (drop("features", "price"), "features.price is not there"),
    "the target": (put("target", "user"), "target is user, trained with item"),
    "what is counted": (put("frequency", "clicks"), "frequency is clicks, trained with rows"),
    "a modality's pair": (
        put("modalities", "text", "target", "user"),
        "modalities.text.target is user, trained with item",
    ),
    "a modality": (put("modalities", {}), "modalities.text is not there"),
    "another's column": (
        put("features", 3, "column", "user"),
        "feature 'price' is read from column 'user', trained on 'price', and feature 'user' on that one",
    ),
    "the label's column": (put("label", "price"), "the label is read from column 'price', trained on 'label', and"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_matters_is_refused_in_words(what: str):
    change, words = WRONG[what]
    here = edited(change)
    assert words in str(refusal(here)), refusal(here)
    assert schema_digest(here) != schema_digest(TRAINED)


def test_two_columns_that_changed_places_are_refused():
    trained = edited(add)
    swapped = edited(add, put("features", 0, "column", "price"), put("features", 4, "column", "age"))
    assert "feature 'age' is read from column 'price', trained on 'age', and feature 'price' on that" in str(
        refusal(swapped, trained)
    )


def test_many_differences_are_one_line_with_the_first():
    here = edited(*(change for change, _ in list(WRONG.values())[:5]), put("features", 2, "max_length", 1))
    trained = edited(put("tables", "tag", {"num_embeddings": 9, "ids": "hash", "embedding_dim": 2}))
    message = str(refusal(here, trained))
    assert "\n" not in message and "; and 1 more; put it back" in message


FREE = {
    "a store's place": put("modalities", "text", "store", "/elsewhere"),
    "how many may be missing": put("modalities", "text", "max_missing", 1.0),
    "a timestamp": put("timestamp", "shown_at"),
    "the order of tables": lambda raw: raw.update(tables=dict(reversed(raw["tables"].items()))),
}


@pytest.mark.parametrize("what", FREE)
def test_what_does_not_matter_passes(what: str):
    here = edited(FREE[what])
    assert refusal(here) is None and refusal(here, same_inputs=True) is None
    assert schema_digest(here) == schema_digest(TRAINED)
    schema, notes = located(TRAINED, here)
    assert schema == here and notes == []


def test_a_modality_that_the_model_does_not_use_may_change():
    here = edited(put("modalities", {}))
    refuse_other_schema(TRAINED, here, "here", [])
    assert located(TRAINED, here)[0].modalities == TRAINED.modalities


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (add, "the run was trained without age, which is not read"),
        (lambda raw: raw["features"].reverse(), "features stand in another order there: the run's is kept"),
    ],
)
def test_further_features_and_their_order_matter_to_what_is_built_by_them_alone(change, note):
    here = edited(change)
    assert refusal(here) is None
    schema, notes = located(TRAINED, here)
    assert notes == [note] and [f.name for f in schema.features] == [f.name for f in TRAINED.features]
    names = ", ".join(f.name for f in here.features)
    assert f"its features are {names}, trained with user, item, tags, price, history" in str(
        refusal(here, same_inputs=True)
    )
    assert schema_digest(here) != schema_digest(TRAINED)


def test_a_column_may_have_another_name_in_another_folder():
    here = edited(put("features", 3, "column", "preis"), put("label", "clicked"))
    assert refusal(here) is None
    assert renamed_columns(TRAINED, here) == [("the label", "label", "clicked"), ("feature 'price'", "price", "preis")]
    schema, _ = located(TRAINED, here)
    assert (schema.label, schema.feature("price").source, schema.feature("item").source) == (
        "clicked",
        "preis",
        "item id",
    )
