"""Markdown tables and what goes into them."""

from benchmarks.markdown import markdown_table, mib, newest


def test_a_table_has_a_head_a_rule_and_lines():
    assert markdown_table(["a", "b"], [["1", ""], ["x", "2"]]) == "| a | b |\n| --- | --- |\n| 1 |  |\n| x | 2 |"


def test_the_newest_row_of_each_combination_counts():
    rows = [{"k": 2, "at": 1}, {"k": 1, "at": 2}, {"k": 2, "at": 3}]
    assert newest(rows, "k") == [{"k": 1, "at": 2}, {"k": 2, "at": 3}]


def test_bytes_in_mib():
    assert mib(3 << 30) == "3,072 MiB"
