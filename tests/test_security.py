"""Each line of docs/security.md that says what is checked names tests, which exist."""

import re

import pytest

from tests.conftest import ROOT

TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_PAGE = (ROOT / "docs" / "security.md").read_text()
CHECKED = [line for line in _PAGE.split("## What is trusted")[0].splitlines() if line.startswith("| ")][2:]


@pytest.mark.parametrize("line", CHECKED, ids=[line.split("|")[1].strip() for line in CHECKED])
def test_a_line_of_the_table_has_tests(line: str):
    tests = TEST.findall(line.split("|")[-2])
    assert tests, "its last column names no test"
    for file, name in tests:
        assert (ROOT / file).is_file() and f"def {name}(" in (ROOT / file).read_text(), f"there is no {file}::{name}"


def test_the_table_is_read():
    assert len(CHECKED) >= 9 and "JSON" in CHECKED[0]
