"""Merged deltas of a version: saved, mapped by others, and scored by as by tables that hold the same rows."""

import numpy as np
import pytest

from recsys.exported.merged_deltas import MergedDeltas
from recsys.exported.model import ExportedModel
from recsys.exported.table import ExportedTable
from tests.recsys.exported.artefacts import export, make_folder
from tests.recsys.exported.deltas import chain_of, write_delta
from tests.serve.tiny_model import SETTINGS


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_tables_with_deltas_are_tables_with_those_rows(tmp_path, dtype):
    model = export(tmp_path / "model", make_folder(tmp_path / "data"), SETTINGS, dtype=dtype)
    chain = chain_of(tmp_path / "model")
    merged = chain.start()
    for seed in (1, 2):
        write_delta(tmp_path / "model", seed)
        merged = chain.next(merged)
    merged.save(tmp_path / "merged" / "000001+2")
    mapped = MergedDeltas.open(tmp_path / "merged" / "000001+2", chain.version)
    assert (mapped.number, mapped.digest, mapped.manifest.position) == (2, merged.digest, merged.manifest.position)
    base = ExportedModel.open(model.folder, {})
    newer = base.with_deltas(mapped)
    assert (base.name, newer.name, base.delta) == ("000001", "000001+2", None)
    for name, table in newer.tables.items():
        rows, entry = merged.tables[name], chain.version.tables[name]
        patched = ExportedTable(model.folder, name, entry)
        everything = np.arange(-2, entry.rows + 2)
        before = patched.embeddings(everything)
        patched._rows = patched._rows.copy()
        patched._rows[rows.rows] = rows.values
        if rows.scale is not None:
            patched._scale = patched._scale.copy()
            patched._scale[rows.rows] = rows.scale
        trained = base.tables[name].trained(everything)
        trained[rows.rows + 2] = rows.trained
        for ids in (everything, everything[::-1], np.array([rows.rows[0]] * 3), np.zeros(0, np.int64)):
            assert np.array_equal(table.embeddings(ids), patched.embeddings(ids))
        assert np.array_equal(table.trained(everything), trained)
        assert np.array_equal(base.tables[name].embeddings(everything), before), "the version itself stays as it was"
