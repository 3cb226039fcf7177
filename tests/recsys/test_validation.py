"""Errors of nested settings: the place, the nearest known key, what was got."""

import pytest
from pydantic import BaseModel, ConfigDict, Field, model_validator

from embeddings.errors import InputError
from recsys.validation import validated


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Leaf(Strict):
    width: int = Field(1, ge=1)
    colour: str = "red"


class Branch(Strict):
    leaf: Leaf = Leaf()
    maybe: Leaf | None = None
    named: dict[str, Leaf] = {}
    listed: list[Leaf] = []
    deep: dict[str, list[Leaf]] = {}


class Root(Strict):
    branch: Branch = Branch()
    count: int = 0

    @model_validator(mode="after")
    def _positive(self) -> "Root":
        if self.count < 0:
            raise ValueError("count must not be negative; use 0")
        return self


def message(raw) -> str:
    with pytest.raises(InputError) as caught:
        validated(Root, raw, where="here")
    text = str(caught.value)
    assert text.startswith("here: ") and "\n" not in text and "Value error" not in text
    return text.removeprefix("here: ")


def test_valid():
    assert validated(Root, {"branch": {"named": {"x": {"width": 3}}}}, "here").branch.named["x"].width == 3


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        ({"branch": {"leaf": {"widht": 1}}}, "branch.leaf.widht"),
        ({"branch": {"maybe": {"widht": 1}}}, "branch.maybe.widht"),
        ({"branch": {"named": {"x": {"widht": 1}}}}, "branch.named.x.widht"),
        ({"branch": {"listed": [{}, {"widht": 1}]}}, "branch.listed.1.widht"),
        ({"branch": {"deep": {"x": [{"widht": 1}]}}}, "branch.deep.x.0.widht"),
    ],
)
def test_an_unknown_key_names_the_nearest_at_every_depth(raw, place):
    assert message(raw) == f"unknown key '{place}'; did you mean 'width'?"


def test_an_unknown_key_like_no_other_lists_those_known():
    assert message({"branch": {"leaf": {"qqq": 1}}}) == "unknown key 'branch.leaf.qqq'; known here: colour, width"
    assert message({"cuont": 1}) == "unknown key 'cuont'; did you mean 'count'?"


def test_several_mistakes_are_one_line():
    text = message({"branch": {"leaf": {"width": 0}}, "count": "many", "brunch": {}})
    assert text == (
        "branch.leaf.width: Input should be greater than or equal to 1, got 0; count: Input should be a valid integer, "
        "unable to parse string as an integer, got 'many'; unknown key 'brunch'; did you mean 'branch'?"
    )


def test_a_rule_over_several_fields_has_no_place():
    assert message({"count": -1}) == "count must not be negative; use 0"


def test_no_mapping_at_all():
    assert message([1]).startswith("top level: Input should be a valid dictionary")
