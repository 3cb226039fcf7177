"""Cells of a Markdown table, for the tests of tables."""


def cells(markdown: str) -> list[list[str]]:
    """The cells of every line of a table in ``markdown``: head, rule, lines."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
