"""Errors that a user can fix: their exit statuses, the nearest name, the first line of another error."""

import pytest

from embeddings.errors import InputError, LostRank, first_line, nearest


def test_statuses_of_the_command_line():
    assert (InputError.status, LostRank.status) == (2, 75) and issubclass(LostRank, InputError)


def test_the_nearest_name_is_offered_where_one_is_near():
    assert nearest("trian", ["test", "train"]) == "; did you mean 'train'?"
    assert nearest("zzz", ["test", "train"]) == "" and nearest("a", []) == ""


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("  one thing\nand more"), "one thing"),
        (KeyError("key"), "KeyError 'key'"),
        (RuntimeError(), "RuntimeError"),
        (ValueError("a b" * 100), ("a b" * 100)[:200]),
    ],
)
def test_the_first_line_names_the_class_where_it_says_little(error: Exception, line: str):
    assert first_line(error) == line
