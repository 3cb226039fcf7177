"""Rows of results are written once."""

from benchmarks.paper.result_rows import not_yet_written
from tests.benchmarks.paper.rows import row


def test_rows_are_written_once_unless_they_changed():
    old = row("none", 0, 0.5)
    assert not_yet_written([old], []) == [old]
    assert not_yet_written([old], [row("none", 0, 0.4), old]) == []
    new = row("none", 0, 0.6)
    assert not_yet_written([new, old | {"seed": 1}], [old]) == [new, old | {"seed": 1}]
