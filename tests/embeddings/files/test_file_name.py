"""Names that become files and folders."""

import pytest

from embeddings.errors import InputError
from embeddings.files.file_name import NAME_BYTES, file_name, file_names

WRONG = {
    "": "a name is missing",
    ".": "means a folder that is there",
    "..": "means a folder that is there",
    "a\0b": "a character that cannot be printed",
    "a\nb": "a character that cannot be printed",
    "a\udcffb": "a character that cannot be printed",
    "\u00e9" * 128: "it has 256 bytes",
}
PATHS = ("test2/day1", "../tag/days", "/tag", "tag/", "a//b", "/")


@pytest.mark.parametrize("name", ["test", "day 1", "2024-11-30", "_", ".x", "\u00e9t\u00e9", "a:b", "x" * NAME_BYTES])
def test_names_that_may_be(name: str):
    assert file_name(name) == file_names(name) == name
    assert file_names(f"exp/{name}") == f"exp/{name}"


@pytest.mark.parametrize("name", WRONG)
def test_names_that_may_not(name: str):
    with pytest.raises(InputError, match=WRONG[name]) as caught:
        file_name(name)
    assert "\n" not in str(caught.value) and "allowed: one name without '/', of at most 128 bytes" in str(caught.value)
    with pytest.raises(InputError, match=WRONG[name]):
        file_names(f"exp/{name}")


def test_folders_may_have_longer_names_than_what_is_written_atomically():
    long = "x" * (NAME_BYTES + 1)
    assert file_names(f"exp/{long}") == f"exp/{long}"
    with pytest.raises(InputError, match="it has 129 bytes"):
        file_name(long)


@pytest.mark.parametrize("path", PATHS)
def test_paths_are_no_names(path: str):
    with pytest.raises(InputError, match=r"cannot name a file or folder: it is a path; allowed"):
        file_name(path)


@pytest.mark.parametrize("path", ["../a", "a/../b", "/a", "a/", "a//b", "a/./b"])
def test_names_in_names_stay_below_where_they_start(path: str):
    with pytest.raises(InputError, match="allowed: names with '/' between them, each of at most 255 bytes"):
        file_names(path)
