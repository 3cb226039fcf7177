"""Errors of nested settings: the place, the nearest known key, what was got."""

from typing import Annotated

import pytest
from pydantic import Field, model_validator

from embeddings import validation
from embeddings.errors import InputError
from embeddings.validation import Strict, Variants, todays_names, validated


class Leaf(Strict):
    RENAMED = {"breadth": "width"}
    RENAMED_VALUES = {"colour": {"crimson": "red"}}

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
    assert message([1]).startswith("top level: keys are expected, such as key: value")


OLD, NEW = {"breadth": 3, "colour": "crimson"}, {"width": 3, "colour": "red"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"leaf": OLD}, {"leaf": NEW}),
        ({"maybe": OLD}, {"maybe": NEW}),
        ({"named": {"x": OLD}}, {"named": {"x": NEW}}),
        ({"deep": {"x": [OLD]}}, {"deep": {"x": [NEW]}}),
    ],
)
def test_old_names_of_keys_and_values_are_read(old, new):
    assert Branch.model_validate(old) == Branch.model_validate(new)
    assert Leaf(**OLD).model_dump() == NEW and OLD == {"breadth": 3, "colour": "crimson"}


def test_an_old_name_is_said_once(capsys, monkeypatch):
    monkeypatch.setattr(validation, "_SAID", set())
    for _ in range(2):
        validated(Root, {"branch": {"leaf": OLD}}, "here")
    assert capsys.readouterr().err.splitlines() == [
        "note: key 'breadth' is now called 'width'; the old name is read too",
        "note: 'colour: crimson' is now called 'colour: red'; the old name is read too",
    ]
    monkeypatch.setattr(validation, "_SAID", set())
    monkeypatch.setenv("RANK", "1")
    validated(Root, {"branch": {"leaf": OLD}}, "here")
    assert capsys.readouterr().err == "", "rank 0 says it for all"


def test_layers_of_other_shapes_than_what_they_go_over():
    """A mapping where the file below has a list is for validation to refuse, once they are merged."""
    below = {"branch": {"listed": [{"width": 1}]}}
    layer = {"branch": {"listed": {"x": {"breadth": 2}}}}
    assert todays_names(Root, below, layer)["branch"].keys() == {"listed"}


def test_mistakes_under_an_old_name():
    text = "branch.leaf: 'breadth' is the old name of 'width', and both are given; remove 'breadth'"
    assert message({"branch": {"leaf": {"breadth": 1, "width": 1}}}) == text
    assert message({"branch": {"leaf": {"breadth": 0}}}).startswith("branch.leaf.width: ")


class Animal(Strict):
    kind: str = "cat"


class Cat(Animal):
    lives: int = 9
    leaf: Leaf = Leaf()


class Dog(Animal):
    tricks: int = 0


ANIMALS = {"cat": Cat, "dog": Dog}
AnyAnimal = Annotated[Animal, Variants("kind", "cat", ANIMALS, ANIMALS.__getitem__)]


class Farm(Strict):
    animals: list[AnyAnimal] = []
    guard: AnyAnimal = Dog()


@pytest.mark.parametrize(
    ("animal", "text"),
    [
        ({"kind": "cat", "live": 9}, "unknown key 'animals.1.live'; did you mean 'lives'?"),
        ({"kind": "dog", "trick": 9}, "unknown key 'animals.1.trick'; did you mean 'tricks'?"),
        ({"kind": "dog", "qqq": 9}, "unknown key 'animals.1.qqq'; known here: kind, tricks"),
        (
            {"kind": "dog", "lives": 9},
            "unknown key 'animals.1.lives' of kind dog; kind cat has it; remove it, or change 'kind'",
        ),
        (
            {"tricks": 9},
            "unknown key 'animals.1.tricks' of kind cat; kind dog has it; remove it, or change 'kind'",
        ),
        ({"kind": "cat", "leaf": {"widht": 1}}, "unknown key 'animals.1.leaf.widht'; did you mean 'width'?"),
    ],
)
def test_the_section_itself_says_which_keys_it_may_have(animal, text):
    with pytest.raises(InputError) as caught:
        validated(Farm, {"animals": [{"kind": "cat"}, animal]}, where="here")
    assert str(caught.value) == f"here: {text}"
    with pytest.raises(InputError) as caught:
        validated(Farm, {"guard": animal}, where="here")
    assert str(caught.value) == f"here: {text.replace('animals.1', 'guard')}"


def test_a_section_is_read_as_the_class_that_it_names():
    farm = validated(
        Farm, {"animals": [{"lives": 3}, {"kind": "dog"}, Cat()], "guard": {"tricks": 2, "kind": "dog"}}, ""
    )
    assert farm == Farm(animals=[Cat(lives=3), Dog(kind="dog"), Cat()], guard=Dog(kind="dog", tricks=2))


def test_a_message_is_short_whatever_was_got():
    assert len(message({"count": "x" * 10**6})) < 300
    text = message({f"k{k}": 1 for k in range(1000)})
    assert text.endswith("; and 992 more") and len(text) < 2000


def test_numbers_are_finite():
    class Rate(Strict):
        rate: float = 0.0

    for value in (float("inf"), float("nan")):
        with pytest.raises(InputError, match="finite"):
            validated(Rate, {"rate": value}, "here")
