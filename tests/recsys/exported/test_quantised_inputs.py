"""How far float16 and int8 tables move what reaches a model's first layer: by each row's bound, and no more.

A number of an int8 row is off by at most scale / 2 + 2^-22 max|x|, where scale is max|x| / 127; of a float16 row by
2^-11 |x|, or 2^-25. An id and a behaviour are one row; a mean is off by the mean of its rows' bounds, a sum by the sum.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.exported.manifest import TableEntry
from recsys.exported.model import ExportedModel
from recsys.exported.table import ExportedTable
from recsys.features.batch_assembly import BatchAssembler
from recsys.features.columns import needed_fields
from recsys.features.raw_columns import build_row_block
from tests.recsys.exported.artefacts import _write_table, columns, rich_schema
from tests.recsys.exported.test_model import arrays

SCHEMA, COUNT = rich_schema(), 12
ROUNDING = 2.0**-20  # of float32 sums of a few rows, over the sum of their sizes


def bound(rows: np.ndarray, dtype: str) -> np.ndarray:
    """[n, D]"""
    if dtype == "float16":
        return np.maximum(2.0**-11 * np.abs(rows), 2.0**-25)
    largest = np.abs(rows).max(axis=1, keepdims=True) + np.zeros_like(rows)
    return largest / 254 + 2.0**-22 * largest


def inputs(folder: Path, tables: dict[str, np.ndarray], dtype: str, batch: Any) -> dict[str, np.ndarray]:
    """Feature -> what an exported model's architecture gets of it, where tables are stored as ``dtype``."""
    (folder / "tables").mkdir(exist_ok=True)
    opened, seen = {}, {}
    for name, rows in tables.items():
        _write_table(folder, name, rows, dtype)
        entry = TableEntry(rows=rows.shape[0], width=rows.shape[1], dtype=dtype)
        opened[name] = ExportedTable(folder, name, entry)

    def arch(pooled: Any, sequences: Any, batch: Any) -> torch.Tensor:
        seen.update({name: value.numpy() for name, value in pooled.items()})
        seen.update({name: value.values().numpy() for name, value in sequences.items()})
        return torch.zeros(0)

    model: Any = ExportedModel
    model(None, SCHEMA, {}, opened, arch).logits(batch)
    return seen


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("tables")


@given(seed=st.integers(0, 2**16), dtype=st.sampled_from(["int8", "float16"]), power=st.integers(-12, 6))
@settings(max_examples=40, deadline=None)
def test_no_input_is_farther_off_than_its_rows(folder: Path, seed: int, dtype: str, power: int):
    draw = np.random.default_rng(seed)
    tables = {}
    for name, table in SCHEMA.tables.items():
        spread = draw.normal(size=(table.num_embeddings, 4)) * 2.0 ** draw.integers(-6, 7, (table.num_embeddings, 1))
        tables[name] = (spread * 2.0**power).astype(np.float32)
    block = build_row_block(SCHEMA, needed_fields(SCHEMA, False), arrays(columns(COUNT, seed)), "here")
    batch = BatchAssembler(SCHEMA, {}, with_labels=False)(block, slice(0, COUNT))[0]
    seen = inputs(folder, tables, dtype, batch)
    assert seen.keys() == {f.name for f in SCHEMA.features if f.table}
    for feature in (f for f in SCHEMA.features if f.table):
        ids = (batch.sequence if feature in SCHEMA.sequential else batch.pooled)[feature.name]
        rows = tables[feature.table][ids.values().numpy()].astype(np.float64)
        off, size = bound(rows, dtype), np.abs(rows)
        if feature.kind == "bag":
            bags = np.repeat(np.arange(COUNT), ids.lengths().numpy()) == np.arange(COUNT)[:, None]
            weights = bags / np.maximum(bags.sum(1, keepdims=True), 1) if feature.pooling == "mean" else bags
            rows, off, size = weights @ rows, weights @ off, weights @ size
        assert (np.abs(seen[feature.name] - rows) <= off + ROUNDING * size).all(), feature.name


def test_half_the_bound_would_not_hold(folder: Path):
    rows = np.random.default_rng(0).normal(size=(1000, 4)).astype(np.float32)
    for dtype in ("int8", "float16"):
        _write_table(folder, "wide", rows, dtype)
        table = ExportedTable(folder, "wide", TableEntry(rows=1000, width=4, dtype=dtype))
        off = np.abs(table.embeddings(np.arange(1000)).numpy() - rows)
        assert (off > 0.9 * bound(rows, dtype)).any() and (off <= bound(rows, dtype)).all(), dtype
