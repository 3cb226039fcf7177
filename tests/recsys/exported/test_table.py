"""Exported tables: how far float16 and int8 are off, rows outside, which rows training changed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hn

from embeddings.errors import InputError
from recsys.exported.manifest import TableEntry, table_files
from recsys.exported.table import ExportedTable, quantised

LARGEST = float(np.finfo(np.float32).max)
floats = (
    st.floats(-LARGEST, LARGEST, width=32) | st.floats(-1, 1, width=32) | st.sampled_from([0.0, 1e-45, -1e-38, 127.0])
)
tables = hn.arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 5)), elements=floats)


def written(folder: Path, rows: np.ndarray, dtype: str, trained: np.ndarray | None = None) -> ExportedTable:
    """``rows`` as a table of a version, opened."""
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    stored, scale = quantised(rows, dtype)
    trained = np.ones(len(rows), bool) if trained is None else trained
    arrays = [stored, np.packbits(trained, bitorder="little"), *([scale] if scale is not None else [])]
    for file, array in zip(table_files("t", dtype), arrays, strict=True):
        np.save(folder / file, array)
    return ExportedTable(folder, "t", TableEntry(rows=len(rows), width=rows.shape[1], dtype=dtype))


def restored(rows: np.ndarray, dtype: str) -> np.ndarray:
    stored, scale = quantised(rows, dtype)
    return stored.astype(np.float32) if scale is None else stored.astype(np.float32) * scale[:, None]


@given(tables)
@settings(deadline=None)
def test_int8_is_off_by_half_a_scale_and_what_float32_rounds(rows):
    stored, scale = quantised(rows, "int8")
    assert stored.dtype == np.int8 and scale.dtype == np.float32 and (scale > 0).all() and stored.min() >= -127
    exact, largest = rows.astype(np.float64), np.abs(rows.astype(np.float64)).max(axis=1, keepdims=True)
    off = np.abs(stored.astype(np.float64) * scale[:, None] - exact)
    assert (off <= scale[:, None].astype(np.float64) / 2 + 2.0**-22 * largest).all()
    assert (restored(rows, "int8")[(rows == 0).all(axis=1)] == 0).all(), "a row of zeros stays one"


@given(tables)
@settings(deadline=None)
def test_float16_is_off_by_its_own_rounding(rows):
    rows = np.clip(rows, -65_504, 65_504)
    off = np.abs(restored(rows, "float16").astype(np.float64) - rows)
    assert (off <= np.maximum(2.0**-11 * np.abs(rows.astype(np.float64)), 2.0**-25)).all()


@given(tables)
@settings(deadline=None)
def test_float32_is_exact(rows):
    assert restored(rows, "float32").tobytes() == rows.tobytes()


def test_beyond_float16_is_infinite():
    assert np.isinf(quantised(np.array([[65_520.0]], np.float32), "float16")[0]).all()


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_rows_are_looked_up_and_those_outside_are_zeros(tmp_path, dtype):
    rows = np.random.default_rng(0).normal(size=(11, 3)).astype(np.float32)
    table = written(tmp_path, rows, dtype)
    ids = torch.tensor([10, -1, 0, 11, 10, -(2**63), 2**63 - 1, 5])
    got = table.embeddings(ids.numpy())
    assert got.dtype == torch.float32
    inside = (ids >= 0) & (ids < 11)
    assert got[inside].numpy().tobytes() == restored(rows, dtype)[[10, 0, 10, 5]].tobytes()
    assert not got[~inside].any() and got[inside].any(dim=1).all()
    assert table.embeddings(np.zeros(0, np.int64)).shape == (0, 3)


def test_a_lookup_changes_no_file(tmp_path):
    rows = np.ones((4, 2), np.float32)
    table = written(tmp_path, rows, "float32")
    before = (tmp_path / "tables" / "t.npy").read_bytes()
    table.embeddings(np.array([0, 1])).mul_(7)
    with pytest.raises(ValueError, match="read-only"):
        table._rows[0] = 3
    assert (tmp_path / "tables" / "t.npy").read_bytes() == before


@given(st.lists(st.booleans(), min_size=1, max_size=40))
@settings(deadline=None)
def test_the_bits_of_trained_rows(bits):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        table = written(Path(folder), np.ones((len(bits), 1), np.float32), "float32", np.array(bits))
        assert table.trained(np.arange(len(bits))).tolist() == bits
        assert not table.trained(np.array([-1, len(bits), -(2**63), 2**63 - 1])).any()


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_files_that_are_not_as_the_manifest_says(tmp_path, dtype):
    written(tmp_path, np.ones((9, 2), np.float32), dtype)
    for entry in (
        TableEntry(rows=10, width=2, dtype=dtype),
        TableEntry(rows=9, width=3, dtype=dtype),
        TableEntry(rows=9, width=2, dtype="float16"),
    ):
        with pytest.raises(InputError, match=r"t\.npy' is .* but the manifest says .*; copy that version again"):
            ExportedTable(tmp_path, "t", entry)
    right = TableEntry(rows=9, width=2, dtype=dtype)
    for file in table_files("t", dtype):
        path = tmp_path / file
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        with pytest.raises(InputError, match="copy that version again, or export the run anew"):
            ExportedTable(tmp_path, "t", right)
        path.unlink()
        with pytest.raises(InputError, match=r"cannot be read .*copy that version again"):
            ExportedTable(tmp_path, "t", right)
        path.write_bytes(whole)
    ExportedTable(tmp_path, "t", right)


def test_fortrans_order_is_refused(tmp_path):
    written(tmp_path, np.ones((9, 2), np.float32), "float32")
    np.save(tmp_path / "tables" / "t.npy", np.asfortranarray(np.ones((9, 2), np.float32)))
    with pytest.raises(InputError, match="but the manifest says"):
        ExportedTable(tmp_path, "t", TableEntry(rows=9, width=2, dtype="float32"))
