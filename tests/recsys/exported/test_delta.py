"""Rows of a delta: the newest of each row stays, and files that hold something else are refused."""

import numpy as np
import pytest

from embeddings.errors import InputError
from recsys.exported.delta import TableRows, row_files
from recsys.exported.manifest import TableEntry
from tests.recsys.exported.deltas import rows_of

ROWS, WIDTH = 40, 3


def whole(parts: list[TableRows], dtype: str) -> list[np.ndarray]:
    """A table of all rows, with one part after the other written over it."""
    table, trained, scale = np.zeros((ROWS, WIDTH), dtype), np.full(ROWS, 7, np.uint8), np.zeros(ROWS, np.float32)
    for part in parts:
        table[part.rows], trained[part.rows] = part.values, part.trained
        if part.scale is not None:
            scale[part.rows] = part.scale
    return [table, trained, scale]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_the_newest_of_each_row_stays(dtype):
    parts = [rows_of(seed, ROWS, WIDTH, dtype) for seed in range(4)]
    merged = parts[0].over(None)
    for part in parts[1:]:
        merged = part.over(merged)
    assert (np.diff(merged.rows) > 0).all() and merged.values.dtype == dtype
    for got, wanted in zip(whole([merged], dtype), whole(parts, dtype), strict=True):
        assert np.array_equal(got, wanted)


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_what_was_written_is_mapped(tmp_path, dtype):
    (tmp_path / "tables").mkdir()
    rows, entry = rows_of(1, ROWS, WIDTH, dtype), TableEntry(rows=ROWS, width=WIDTH, dtype=dtype)
    rows.write(tmp_path, "item")
    got = TableRows.open(tmp_path, "item", rows.rows.size, entry)
    for one, other in zip(whole([got], dtype), whole([rows], dtype), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda r: r.rows.__setitem__(0, -1), "no rows of a table of 40"),
        (lambda r: r.rows.__setitem__(-1, ROWS), "no rows of a table of 40"),
        (lambda r: r.rows.__setitem__(1, r.rows[0]), "ascending"),
        (lambda r: r.values.__setitem__((2, 1), np.nan), "not finite"),
    ],
)
def test_other_rows_are_refused(tmp_path, harm, words):
    (tmp_path / "tables").mkdir()
    rows, entry = rows_of(1, ROWS, WIDTH, "float32"), TableEntry(rows=ROWS, width=WIDTH, dtype="float32")
    harm(rows)
    rows.write(tmp_path, "item")
    with pytest.raises(InputError, match=words):
        TableRows.open(tmp_path, "item", rows.rows.size, entry)


@pytest.mark.parametrize("place", range(3))
def test_another_shape_is_refused(tmp_path, place):
    (tmp_path / "tables").mkdir()
    rows, entry = rows_of(1, ROWS, WIDTH, "float32"), TableEntry(rows=ROWS, width=WIDTH, dtype="float32")
    rows.write(tmp_path, "item")
    file = tmp_path / row_files("item", "float32")[place]
    np.save(file, np.load(file)[:-1])
    with pytest.raises(InputError, match=r"are wanted"):
        TableRows.open(tmp_path, "item", rows.rows.size, entry)
    file.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        TableRows.open(tmp_path, "item", rows.rows.size, entry)
