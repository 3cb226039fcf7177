"""Each line of docs/security.md names tests, which exist, or says that nothing is checked."""

import re

import pytest

from tests.conftest import ROOT

TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_PAGE = (ROOT / "docs" / "security.md").read_text()
CHECKED, TRUSTED = (
    [line for line in part.splitlines() if line.startswith("| ")][2:] for part in _PAGE.split("## What is trusted")
)


@pytest.mark.parametrize("line", CHECKED + TRUSTED, ids=lambda line: line.split("|")[1].strip())
def test_a_line_of_the_tables_has_tests(line: str):
    tests = TEST.findall(line.split("|")[-2])
    assert tests or (line in TRUSTED and "nothing is checked" in line), "its last column names no test"
    for file, name in tests:
        assert (ROOT / file).is_file() and f"def {name}(" in (ROOT / file).read_text(), f"there is no {file}::{name}"


def test_the_tables_are_read():
    assert len(CHECKED) >= 9 and "JSON" in CHECKED[0] and len(TRUSTED) >= 5 and "command line" in TRUSTED[0]
