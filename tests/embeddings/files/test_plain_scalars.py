"""Unquoted text and its type."""

import math

import pytest

from embeddings.files.plain_scalars import Plain, typed


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("-3", -3),
        ("0", 0),
        ("0x1f", 31),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("-1.5E-3", -0.0015),
        ("-.inf", -math.inf),
        ("inf", math.inf),
        ("true", True),
        ("FALSE", False),
        ("tRue", "tRue"),
        ("yes", "yes"),
        ("1_000", "1_000"),
        ("010", "010"),
        ("0123", "0123"),
        ("12:30", "12:30"),
        ("2024-11-30", "2024-11-30"),
        ("e3", "e3"),
        ("1e", "1e"),
        ("+", "+"),
        ("", ""),
        ("9" * 4301, "9" * 4301),
        ("\u0665", "\u0665"),
    ],
)
def test_the_type_of_a_scalar(text, value):
    assert typed(Plain(text)) == value and type(typed(Plain(text))) is type(value)


def test_nan():
    assert math.isnan(typed(Plain(".nan"))) and math.isnan(typed(Plain("nan")))


def test_within_lists_and_mappings_and_nothing_else():
    assert typed({"a": [Plain("1"), "1", 2, None]}) == {"a": [1, "1", 2, None]}
