"""Errors that a user can fix: their exit statuses, the nearest name, the first line of another error."""

import pytest

from embeddings.errors import InputError, LostRank, first_line, for_terminal, listed, nearest, one_line, shown


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


def test_a_value_is_quoted_on_one_short_line():
    assert shown("a b") == "'a b'" and shown({"a": [1, 2.5]}) == "{'a': [1, 2.5]}"
    for large in ("x" * 10**7, 10**5000, [["y" * 10**6] * 100] * 100, {k: "z" * 1000 for k in range(1000)}):
        assert len(shown(large)) < 400
    assert "\n" not in shown("a\nb") and "bits" in shown(10**5000)


def test_a_terminal_gets_one_line_without_control_characters():
    assert one_line("a\nb\tc\x1b[31m\x00\u202e \u00fc") == "a b c\\x1b[31m\\x00\\u202e \u00fc"
    assert for_terminal("a\n  b\x1b") == "a\n  b\\x1b"
    assert for_terminal("a\n" * 100).splitlines()[59:] == ["a", "... and 40 lines more"]
    assert one_line("ab" * 5000) == "ab" * 1000 + " ... (10,000 characters in all)"


def test_long_lists_are_cut():
    assert listed(["a", "b"]) == "a, b" and listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
    assert listed(list("abc"), 2, "; ") == "a; b; and 1 more"
